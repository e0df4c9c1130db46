package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/staging"
)

// deleteFlags are the flags of greenroom delete.
type deleteFlags struct {
	wait    bool
	timeout time.Duration
}

func newDeleteCommand() *cobra.Command {
	var f deleteFlags
	cmd := &cobra.Command{
		Use:   "delete KIND NAME...",
		Short: "Delete zones, images, groups, staging configs and webhooks",
		Long: `Delete resources by name: of one KIND, which is zone, image, group, staging or webhook,
or of several kinds as KIND/NAME. Staging configs are deleted before the images and zones
that they name, whatever the order of the arguments. One that cannot be deleted does not
keep the others: its error follows.

A zone or an image that another staging config names is in use, and refused. A deleted
staging config's unused sessions are retired, and sessions that users have stay. --wait
waits until the unused ones have ended. What is pending for a deleted webhook, and its
dead letters, are dropped.

With -o json, the answer has each resource with what became of it.`,
		Example: `  greenroom delete staging demo-east demo-west --wait
  greenroom delete zone/east image/demo staging/demo-east -o json`,
		Args:              someArguments("KIND and NAME, or KIND/NAME"),
		ValidArgsFunction: completeResources(),
		RunE:              func(cmd *cobra.Command, args []string) error { return runDelete(cmd, args, f) },
	}
	cmd.Flags().BoolVar(&f.wait, "wait", false, "wait until the unused sessions of what was deleted have ended")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 10*time.Minute, "how long --wait waits at most")
	return cmd
}

func runDelete(cmd *cobra.Command, args []string, f deleteFlags) error {
	named, err := namedIn(args)
	if err != nil {
		return exit.BadUsage(err)
	}
	c, err := client.FromFlags(cmd)
	if err != nil {
		return err
	}
	slices.SortStableFunc(named, func(a, b namedResource) int { return b.kind.order() - a.kind.order() })
	done, failed := []deletion{}, []error(nil)
	for _, r := range named {
		of := deletion{Kind: r.kind.name, Name: r.name}
		err := r.kind.remove(cmd.Context(), c, r.name)
		of.Deleted = err == nil
		if err == nil && f.wait && r.kind.unusedOf != nil {
			err = untilUnusedEnded(cmd.Context(), c, r, f.timeout, cmd.ErrOrStderr())
		}
		if err != nil {
			err = r.about(err)
			of.Problem, failed = new(problemOf(err, exitCode(err))), append(failed, err)
		}
		done = append(done, of)
		if of.Deleted && !output.WantsJSON(cmd) {
			fmt.Fprintf(cmd.OutOrStdout(), "%s %q deleted\n", r.kind.name, r.name)
		}
	}
	if output.WantsJSON(cmd) {
		failed = append(failed, output.JSON(cmd, map[string][]deletion{"items": done}))
	}
	return errors.Join(failed...)
}

// deletion is what became of a resource that was to be deleted.
type deletion struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Deleted bool   `json:"deleted"`
	// Problem is why it was not, or why its sessions were not waited for; nil for neither.
	Problem *problem `json:"problem,omitempty"`
}

// pauseOf returns a pause that covers the pool of a staging config, which may be deleted. A caller who may not list pauses is told none.
func pauseOf(ctx context.Context, c *client.Client, pool staging.Config) (staging.Pause, bool) {
	r, err := c.ListPausesWithResponse(ctx)
	if err := c.Answered(r, err, http.StatusOK); err != nil {
		return staging.Pause{}, false
	}
	all := map[staging.PauseTarget]staging.Pause{}
	for _, p := range r.JSON200.Items {
		all[p.PauseTarget] = p
	}
	return staging.Resources{Pauses: all}.PauseOf(pool)
}

// unusedStates are the states of sessions that nobody has.
var unusedStates = []staging.State{staging.Pending, staging.Starting, staging.Ready, staging.Retiring}

// untilUnusedEnded waits until no unused session of what was deleted is left. It says so on progress
// where they are of a paused pool, which ends none.
func untilUnusedEnded(ctx context.Context, c *client.Client, r namedResource, limit time.Duration, progress io.Writer) error {
	told := false
	filter := r.kind.unusedOf(r.name)
	filter.State, filter.Origin = unusedStates, httpapi.Origin(staging.Staged)
	return client.Poll(ctx, limit, func(ctx context.Context) (bool, string, error) {
		left, err := c.ListSessions(ctx, filter)
		if len(left.Items) > 0 && !told {
			told = true
			if p, paused := pauseOf(ctx, c, staging.Config{Name: left.Items[0].Staging, Zone: left.Items[0].Zone}); paused {
				fmt.Fprintf(progress, "%s: the unused sessions of %s %q end after %s\n", p, r.kind.name, r.name, p.ResumeCommand())
			}
		}
		return len(left.Items) == 0, fmt.Sprintf("%s %q is deleted; not ended yet: %s", r.kind.name, r.name, staging.Count(len(left.Items), "unused session")), err
	})
}
