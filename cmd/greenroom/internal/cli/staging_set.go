package cli

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/resources"
	"github.com/greenroom/greenroom/internal/staging"
)

// stagingSetFlags are the flags of greenroom staging set.
type stagingSetFlags struct {
	desired                    int
	expiration, maxUnavailable string
}

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
  greenroom staging set demo-east --expiration "" # sessions wait for ever`,
		Args: oneArgument("NAME"), ValidArgsFunction: completeFirst(poolNames),
		RunE: func(cmd *cobra.Command, args []string) error { return runStagingSet(cmd, args[0], f) },
	}
	fl := cmd.Flags()
	fl.IntVar(&f.desired, "desired", 0, "how many unassigned sessions are wanted")
	fl.StringVar(&f.expiration, "expiration", "", "how long a session may wait unassigned, such as 24h; empty for ever")
	fl.StringVar(&f.maxUnavailable, "max-unavailable", "", "how many may be missing while a new revision rolls, such as 2 or 25%")
	return cmd
}

func runStagingSet(cmd *cobra.Command, name string, f stagingSetFlags) error {
	changed := cmd.Flags().Changed
	if !changed("desired") && !changed("expiration") && !changed("max-unavailable") {
		return exit.BadUsage(errors.New("say what to set: --desired, --expiration or --max-unavailable"))
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
	before := resources.ConfigOf(*r.JSON200)
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
