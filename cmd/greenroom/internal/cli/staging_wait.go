package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
)

// waitFlags are the flags of greenroom staging wait.
type waitFlags struct {
	ready   int
	timeout time.Duration
}

func newStagingWaitCommand() *cobra.Command {
	var f waitFlags
	cmd := &cobra.Command{
		Use:   "wait NAME",
		Short: "Wait until a pool has sessions ready",
		Long: `Wait until the pool of a staging config has its desired number of sessions ready, or at
least as many as --ready says. Sessions of an older revision of the image, the zone or
the permissions do not count. What is still missing is printed on the standard error,
with the pool's conditions, whenever it changes. If --ready is above the number that is
desired now, that is said: it may become so by a schedule or a change. The exit code is
1 when --timeout is over.`,
		Example: `  greenroom staging wait demo-east
  greenroom staging wait demo-east --ready 1 --timeout 2m`,
		Args: oneArgument("NAME"), ValidArgsFunction: completeFirst(poolNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.ready < 0 {
				return exit.BadUsage(fmt.Errorf("--ready: must be 0 or more, is %d", f.ready))
			}
			name, err := pathArgument("NAME", args[0])
			if err != nil {
				return err
			}
			c, err := client.FromFlags(cmd)
			if err != nil {
				return err
			}
			return c.UntilReady(cmd.Context(), name, func(p httpapi.StagingPool) int {
				if cmd.Flags().Changed("ready") {
					return f.ready
				}
				return client.Desired(p)
			}, f.timeout, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().IntVar(&f.ready, "ready", 0, "how many sessions must be ready (default: the desired number)")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 10*time.Minute, "how long to wait at most")
	return cmd
}
