package cli

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/resources"
	"github.com/greenroom/greenroom/internal/staging"
)

// stagingSetFlags are the flags of greenroom staging set.
type stagingSetFlags struct {
	desired, priority          int
	expiration, maxUnavailable string
	spread                     string
	distinctHosts              bool
	update                     string
	keepFailed                 int
}

// stagingSettings are the flags that set something.
var stagingSettings = []string{"desired", "expiration", "max-unavailable", "spread", "distinct-hosts", "update", "keep-failed", "priority"}

func newStagingSetCommand() *cobra.Command {
	var f stagingSetFlags
	cmd := &cobra.Command{
		Use:   "set NAME",
		Short: "Change a staging config that is there",
		Long: `Change fields of a staging config that is there, and leave the others as they are.
What changed is printed. The next greenroom apply of files that say otherwise changes
it back.`,
		Example: `  greenroom staging set demo-east --desired 10
  greenroom staging set demo-east --expiration 8h --max-unavailable 25%
  greenroom staging set demo-east --spread '${meta.rack}'
  greenroom staging set demo-east --priority 20 # its sessions make room for launches
  greenroom staging set demo-east --expiration "" # sessions wait for ever`,
		Args: oneArgument("NAME"), ValidArgsFunction: completeFirst(poolNames),
		RunE: func(cmd *cobra.Command, args []string) error { return runStagingSet(cmd, args[0], f) },
	}
	fl := cmd.Flags()
	fl.IntVar(&f.desired, "desired", 0, "how many unassigned sessions are wanted")
	fl.StringVar(&f.expiration, "expiration", "", "how long a session may wait unassigned, such as 24h; empty for ever")
	fl.StringVar(&f.maxUnavailable, "max-unavailable", "", "how many may be missing while a new revision rolls, such as 2 or 25%")
	fl.StringVar(&f.spread, "spread", "", "over what its sessions are spread; none for nothing, empty for the nodes")
	fl.BoolVar(&f.distinctHosts, "distinct-hosts", false, "no two of its sessions on one node")
	fl.StringVar(&f.update, "update", "", "how a new revision comes: rolling, immediate or on_replenish")
	fl.IntVar(&f.keepFailed, "keep-failed", 0, "how many sessions that failed stay in Nomad, stopped")
	completeFlags(cmd, map[string]names{"update": fixed(string(staging.UpdateRolling), string(staging.UpdateImmediate), string(staging.UpdateOnReplenish))})
	fl.IntVar(&f.priority, "priority", 0, "from 1 to 100: its unassigned sessions make room for launches of a higher one; 0 for the default of 50")
	return cmd
}

func runStagingSet(cmd *cobra.Command, name string, f stagingSetFlags) error {
	changed := cmd.Flags().Changed
	if !slices.ContainsFunc(stagingSettings, changed) {
		return exit.BadUsage(errors.New("say what to set: --" + strings.Join(stagingSettings, ", --")))
	}
	expiration, err := staging.ParseDuration(f.expiration)
	if err != nil {
		return exit.BadUsage(fmt.Errorf("--expiration: %w", err))
	}
	c, err := client.FromFlags(cmd)
	if err != nil {
		return err
	}
	if name, err = pathArgument("NAME", name); err != nil {
		return err
	}
	ctx, cancel := client.Brief(cmd.Context())
	defer cancel()
	r, err := c.GetStagingWithResponse(ctx, name)
	if err := c.Answered(r, err, http.StatusOK); err != nil {
		return err
	}
	before := r.JSON200.Config()
	after := before
	if changed("desired") {
		after.DesiredSessions = f.desired
	}
	if changed("expiration") {
		after.Expiration = expiration
	}
	if changed("max-unavailable") {
		after.MaxUnavailable = f.maxUnavailable
	}
	if changed("spread") {
		after.Spread = f.spread
	}
	if changed("distinct-hosts") {
		after.DistinctHosts = f.distinctHosts
	}
	if changed("update") {
		after.Update = staging.UpdateMode(f.update)
	}
	if changed("keep-failed") {
		after.KeepFailed = f.keepFailed
	}
	if changed("priority") {
		after.Priority = f.priority
	}
	put, err := c.PutStagingWithResponse(ctx, name, after)
	if err := c.Answered(put, err, http.StatusOK, http.StatusCreated); err != nil {
		return err
	}
	if output.WantsJSON(cmd) {
		return printBody(cmd, put.Body)
	}
	resources.PrintConfigChange(cmd.OutOrStdout(), before, after)
	return nil
}
