package main

import (
	"context"
	"io"
	_ "time/tzdata"

	"fmt"

	"github.com/spf13/cobra"
)

// subcommands make greenroom's commands.
var subcommands = []func() *cobra.Command{
	newDevCommand,
	newBrokerCommand,
	newScalerCommand,
	newConfigCommand,
	newPlanCommand,
	newApplyCommand,
	newLaunchCommand,
	newStatusCommand,
	newWatchCommand,
	newLogsCommand,
	newExecCommand,
	newSessionsCommand,
	newStagingCommand,
	newGroupsCommand,
	newBootstrapCommand,
	newTokenCommand,
	newBenchCommand,
	newCompletionCommand,
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "greenroom",
		Short: "Keep sessions warm, and hand one to a user in milliseconds",
		Long: `greenroom keeps sessions (desktops, browsers, notebooks, game servers: anything
that Nomad can run) running and healthy before anyone asks, and hands one to a
user in milliseconds.

Exit codes:
  0  done
  1  failed
  2  wrong usage
  3  not found
  4  refused as not valid
  5  no capacity
  6  the broker, or a server that it needs, does not answer
  7  plan: there is something to change
  8  status: not all is well

greenroom exec ends with the exit code of the command that it ran.`,
		Example: `  greenroom dev
  greenroom apply -f resources/
  greenroom launch demo --zone east --user alice
  greenroom sessions -o json`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return checkOutputFlags(cmd) },
	}
	addClientFlags(root.PersistentFlags())
	addOutputFlags(root.PersistentFlags())
	for _, make := range subcommands {
		root.AddCommand(make())
	}
	markRuns(root)
	return root
}

// oneArgument is cobra.ExactArgs(1) that says what the argument is.
func oneArgument(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("give one %s, not %d arguments", what, len(args))
		}
		return nil
	}
}

// run is main with everything that it touches given: it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	return report(cmd, err, stderr)
}
