package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/staging"
)

func newStagingRecycleCommand() *cobra.Command {
	var olderThan string
	cmd := &cobra.Command{
		Use:   "recycle NAME",
		Short: "Replace the sessions of a pool without an edit",
		Long: `Replace the unassigned sessions of a pool, or those that are older than --older-than,
as a new revision would replace them: each once its replacement is ready. Users'
sessions stay. Of two orders the one that reaches further stands: greenroom staging show
has it. A paused pool is recycled once it is resumed.`,
		Example: `  greenroom staging recycle demo-east
  greenroom staging recycle demo-east --older-than 24h`,
		Args: oneArgument("NAME"), ValidArgsFunction: completeFirst(poolNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			age, err := staging.ParseDuration(olderThan)
			if err != nil {
				return exit.BadUsage(fmt.Errorf("--older-than: %w", err))
			}
			return callOn(cmd, "NAME", args[0], func(ctx context.Context, c *client.Client, name string) error {
				r, err := c.RecycleStagingWithResponse(ctx, name, httpapi.RecycleRequest{OlderThan: age})
				if err := c.Answered(r, err, http.StatusOK); err != nil {
					return err
				}
				return ordered(cmd, r.Body, fmt.Sprintf("the sessions of %s that were made before %s are %s", name,
					r.JSON200.Recycle.Before.Local().Format(time.DateTime), unlessPaused(*r.JSON200, "being replaced", "replaced")))
			})
		},
	}
	cmd.Flags().StringVar(&olderThan, "older-than", "", "replace only sessions that were made longer ago, such as 24h")
	return cmd
}

func newStagingRetryCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "retry NAME",
		Short: "Try a failing pool again at once",
		Long: `End the wait between two tries of a pool whose sessions fail, which grows up to five
minutes, and forget on which nodes its image failed. A change of the image does both by
itself, one of the staging config or the zone ends the wait. greenroom why NAME says why
it failed.`,
		Example: "  greenroom staging retry demo-east",
		Args:    oneArgument("NAME"), ValidArgsFunction: completeFirst(poolNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return callOn(cmd, "NAME", args[0], func(ctx context.Context, c *client.Client, name string) error {
				r, err := c.RetryStagingWithResponse(ctx, name)
				if err := c.Answered(r, err, http.StatusOK); err != nil {
					return err
				}
				return ordered(cmd, r.Body, "pool "+name+" is "+unlessPaused(*r.JSON200, "tried again now", "tried again"))
			})
		},
	}
}

// unlessPaused says what is done of an order now, or that it is done once the pool is resumed.
func unlessPaused(p httpapi.StagingPool, now, later string) string {
	if p.Paused == (staging.Pause{}) {
		return now
	}
	return later + " once it is resumed: " + p.Paused.String()
}

// ordered prints that an order was stored, or with -o json the pool.
func ordered(cmd *cobra.Command, body []byte, text string) error {
	if output.WantsJSON(cmd) {
		return printBody(cmd, body)
	}
	_, err := fmt.Fprintln(cmd.ErrOrStderr(), text)
	return err
}

// orderFacts are what greenroom staging show prints of how a pool updates, of what administrators
// ordered for it, and of its last failure.
func orderFacts(p httpapi.StagingPool, now time.Time) []fact {
	facts := []fact{{"update", string(cmp.Or(p.Update, staging.UpdateRolling))}}
	if p.KeepFailed > 0 {
		facts = append(facts, fact{"keeps failed", staging.Count(p.KeepFailed, "session")})
	}
	if p.Paused != (staging.Pause{}) {
		facts = append(facts, fact{"paused", pauseText(p.Paused, now)})
	}
	if p.Recycle != (staging.Recycle{}) {
		facts = append(facts, fact{"recycled", fmt.Sprintf("made before %s, by %s", p.Recycle.Before.UTC().Format(time.RFC3339), p.Recycle.OrderedBy)})
	}
	if f := p.LastFailure; f.Session != "" {
		facts = append(facts, fact{"last failure", fmt.Sprintf("%s: %s (%s ago); greenroom why %s has more", f.Session, f.Reason, age(f.At, now), p.Name)})
	}
	if len(p.KeptSessions) > 0 {
		facts = append(facts, fact{"kept in Nomad", strings.Join(p.KeptSessions, ", ")})
	}
	return facts
}

// pauseText says what a pause is of, whose it is and since when.
func pauseText(p staging.Pause, now time.Time) string {
	return fmt.Sprintf("%s (for %s)", p, age(p.PausedAt, now))
}
