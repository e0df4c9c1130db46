// Package cli is greenroom's command line: the root command with the list of all
// commands, those commands that call a broker, and the exit codes of errors.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/agent"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/bench"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/client"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/dev"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/doctor"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/output"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/resources"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/simulation"
)

// subcommands are all of greenroom's commands. To add one, write its constructor in a file
// of its own, in this package where it calls a broker, and list it here; the root below
// adds the flags that every command has. Commands of commands are added by their parent,
// such as newSessionsCommand.
var subcommands = []func() *cobra.Command{
	dev.NewCommand,
	agent.NewBrokerCommand,
	agent.NewScalerCommand,
	agent.NewGatewayCommand,
	newAuditCommand,
	newConfigCommand,
	resources.NewPlanCommand,
	resources.NewApplyCommand,
	resources.NewBackupCommand,
	resources.NewRestoreCommand,
	newLaunchCommand,
	newStatusCommand,
	newWatchCommand,
	newEventsCommand,
	newLogsCommand,
	newExecCommand,
	newSessionsCommand,
	newExtendCommand,
	newStagingCommand,
	newPauseCommand,
	newResumeCommand,
	newWhyCommand,
	newZonesCommand,
	newImagesCommand,
	newGroupsCommand,
	newWebhooksCommand,
	newGetCommand,
	newDeleteCommand,
	newBootstrapCommand,
	newTokenCommand,
	newSecretsCommand,
	newUserCommand,
	newInstallationCommand,
	newHistoryCommand,
	bench.NewCommand,
	func() *cobra.Command { return simulation.NewCommand(completeFirst(poolNames)) },
	doctor.NewCommand,
	newCompletionCommand,
	newVersionCommand,
}

// NewRootCommand returns greenroom with all its subcommands.
func NewRootCommand() *cobra.Command {
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
  6  the broker, or a server that it needs, does not answer or takes no more now
  7  plan, restore --dry-run: there is something to change
  8  status: not all is well
  9  unauthorized: no token, or one that is not valid
 10  forbidden: the token may not do this
 11  there are as many sessions as a limit allows
 12  rate limited: try again later
 13  refused as things stand, such as deleting what is in use
 14  launch: the session is its user's, and was not up within --wait
 15  not confirmed: a command that asks first was not told yes, and changed nothing

greenroom exec ends with the exit code of the command that it ran, 127 if the session
has no such command, and 126 if it cannot be executed.

With -o json, errors are problem documents on the standard error.`,
		Example: `  greenroom dev
  greenroom apply -f resources/
  greenroom launch demo --zone east --user alice
  greenroom sessions -o json`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return output.CheckFlags(cmd) },
	}
	client.AddFlags(root)
	output.AddFlags(root)
	for _, make := range subcommands {
		root.AddCommand(make())
	}
	completeNames(root)
	markRuns(root)
	return root
}

// oneArgument is cobra.ExactArgs(1) with an error that names the argument.
func oneArgument(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("give one %s, not %d arguments", what, len(args))
		}
		return nil
	}
}

// someArguments requires at least one argument.
func someArguments(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return errors.New("give at least one " + what)
		}
		return nil
	}
}

// Run runs greenroom with the arguments args, without the program's name, and returns its
// exit code. It ends early, in order, when ctx is done.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := NewRootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	return report(cmd, args, err, stderr)
}
