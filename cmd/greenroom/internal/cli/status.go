package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/internal/staging"
)

func newStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Say on one screen whether all is well",
		Long: `Say on one screen whether all is well: the servers that the broker needs, each pool
with its desired, current and ready sessions, and what is in the way of any.

The exit code is 0 when every server answers, a scaler is at work in every zone with
pools, no pool carries a condition and every pool has at least its desired number
ready or is filling; else it is 8. A pool is filling while its missing sessions are on
the way and none of them is for longer than twice the pool's usual time to ready, at
least 30s, or 2m while that time is not known yet. An ordinary launch is no alarm.

` + staging.FillWords,
		Example: `  greenroom status
  greenroom status --json | jq -r '.problems[]'
  greenroom status > /dev/null || echo "somebody should look"`,
		Args: cobra.NoArgs,
		RunE: runStatus,
	}
}

func runStatus(cmd *cobra.Command, _ []string) error {
	c, err := client.FromFlags(cmd)
	if err != nil {
		return err
	}
	o, err := overviewOf(cmd.Context(), c)
	if err != nil {
		return err
	}
	if output.WantsJSON(cmd) {
		err = output.JSON(cmd, o)
	} else {
		err = o.print(cmd.OutOrStdout(), time.Now())
	}
	if err == nil && !o.Well {
		err = exit.Error(exit.Unwell)
	}
	return err
}
