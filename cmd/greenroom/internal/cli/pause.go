package cli

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/staging"
)

// pauseFlags are the flags that say what NAME is where both a zone and a pool have it.
type pauseFlags struct {
	zone, pool bool
	list       bool
	reason     string
}

func (f *pauseFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.zone, "zone", false, "NAME is a zone's")
	cmd.Flags().BoolVar(&f.pool, "staging", false, "NAME is a staging config's")
}

func newPauseCommand() *cobra.Command {
	var f pauseFlags
	cmd := &cobra.Command{
		Use:   "pause [ZONE|NAME]",
		Short: "Pause a pool, the pools of a zone, or all pools",
		Long: `Pause the pool of a staging config, the pools of a zone, or without a name all pools:
nothing of them is made or retired until greenroom resume. Launches go on: they take
what is ready, and make sessions on demand. Sessions that are starting still become
ready. A pause outlives restarts, and no greenroom apply ends it. With --list it lists
what is paused.`,
		Example: `  greenroom pause --reason "works on the rack"
  greenroom pause east
  greenroom pause demo-east
  greenroom pause --list`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: completeFirst(zoneAndPoolNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.list {
				return listPauses(cmd, args)
			}
			return onTarget(cmd, args, f, func(ctx context.Context, c *client.Client, t staging.PauseTarget) error {
				r, err := c.PausePoolsWithResponse(ctx, httpapi.PauseRequest{Zone: t.Zone, Staging: t.Staging, Reason: f.reason})
				if err := c.Answered(r, err, http.StatusOK, http.StatusCreated); err != nil {
					return err
				}
				return ordered(cmd, r.Body, t.String()+": paused; nothing is made or retired, and launches go on, until "+t.ResumeCommand())
			})
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.reason, "reason", "", "why, for other administrators")
	cmd.Flags().BoolVar(&f.list, "list", false, "list what is paused")
	return cmd
}

func newResumeCommand() *cobra.Command {
	var f pauseFlags
	cmd := &cobra.Command{
		Use:   "resume [ZONE|NAME]",
		Short: "Resume what greenroom pause has paused",
		Long: `Resume the pool of a staging config, the pools of a zone, or without a name all pools
that were paused together. Each pause ends on its own: a pool stays paused while its
zone is. greenroom pause --list says what is paused.`,
		Example: `  greenroom resume
  greenroom resume demo-east`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: completeFirst(zoneAndPoolNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			return onTarget(cmd, args, f, func(ctx context.Context, c *client.Client, t staging.PauseTarget) error {
				r, err := c.ResumePoolsWithResponse(ctx, &httpapi.ResumePoolsParams{Zone: t.Zone, Staging: t.Staging})
				if err := c.Answered(r, err, http.StatusNoContent); err != nil {
					return err
				}
				return ordered(cmd, r.Body, t.String()+": resumed"+stillPaused(ctx, c, t))
			})
		},
	}
	f.add(cmd)
	return cmd
}

// onTarget calls do with what the argument of pause or resume names: a staging config, a zone, or
// without an argument all pools. A name that has a pause is found also where the zone or the
// staging config is gone.
func onTarget(cmd *cobra.Command, args []string, f pauseFlags, do func(context.Context, *client.Client, staging.PauseTarget) error) error {
	switch {
	case f.zone && f.pool:
		return exit.BadUsage(fmt.Errorf("--zone and --staging exclude each other"))
	case len(args) == 0 && (f.zone || f.pool):
		return exit.BadUsage(fmt.Errorf("give the NAME of the zone or the staging config"))
	}
	return call(cmd, func(ctx context.Context, c *client.Client) error {
		if len(args) == 0 {
			return do(ctx, c, staging.PauseTarget{})
		}
		t, err := targetOf(ctx, c, args[0], f)
		if err != nil {
			return err
		}
		return do(ctx, c, t)
	})
}

func targetOf(ctx context.Context, c *client.Client, name string, f pauseFlags) (staging.PauseTarget, error) {
	zone, pool := staging.PauseTarget{Zone: name}, staging.PauseTarget{Staging: name}
	if f.zone {
		return zone, nil
	}
	if f.pool {
		return pool, nil
	}
	pools, err := c.Pools(ctx)
	if err != nil {
		return pool, err
	}
	zones, err := zoneNames(ctx, c)
	if err != nil {
		return pool, err
	}
	isPool := slices.ContainsFunc(pools, func(p httpapi.StagingPool) bool { return p.Name == name })
	isZone := slices.Contains(zones, name)
	switch {
	case isPool && isZone:
		return pool, exit.BadUsage(fmt.Errorf("both a zone and a staging config are named %q: add --zone or --staging", name))
	case isZone:
		return zone, nil
	}
	pauses, err := c.ListPausesWithResponse(ctx)
	if err := c.Answered(pauses, err, http.StatusOK); err != nil {
		return pool, err
	}
	if slices.ContainsFunc(pauses.JSON200.Items, func(p staging.Pause) bool { return p.Zone == name }) {
		return zone, nil // the zone was deleted, and its pause is left
	}
	return pool, nil // the broker says that there is none
}

// stillPaused says what else pauses pools of a target that was resumed; "" for nothing. That the
// target is resumed is true also where the pools cannot be listed.
func stillPaused(ctx context.Context, c *client.Client, t staging.PauseTarget) string {
	pools, err := c.Pools(ctx)
	if err != nil {
		return ""
	}
	var others []string
	for _, p := range pools {
		if p.Paused == (staging.Pause{}) || !t.Covers(staging.Config{Name: p.Name, Zone: p.Zone}) {
			continue
		}
		if other := p.Paused.PauseTarget.String(); !slices.Contains(others, other) {
			others = append(others, other)
		}
	}
	if len(others) == 0 {
		return ""
	}
	return "; still paused: " + strings.Join(others, ", ")
}

func listPauses(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return exit.BadUsage(fmt.Errorf("--list lists all that is paused: leave out %q", args[0]))
	}
	return call(cmd, func(ctx context.Context, c *client.Client) error {
		r, err := c.ListPausesWithResponse(ctx)
		if err := c.Answered(r, err, http.StatusOK); err != nil {
			return err
		}
		if output.WantsJSON(cmd) {
			return printBody(cmd, r.Body)
		}
		now := time.Now()
		var rows [][]string
		for _, p := range r.JSON200.Items {
			rows = append(rows, []string{p.PauseTarget.String(), p.PausedBy, age(p.PausedAt, now), p.Reason})
		}
		return printTable(cmd.OutOrStdout(), []string{"PAUSED", "BY", "AGE", "REASON"}, rows)
	})
}
