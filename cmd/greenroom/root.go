package main

import (
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

const (
	defaultAddress = "http://127.0.0.1:7480"
	envAddress     = "GREENROOM_ADDR"
)

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
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			switch o := flagOf(cmd, flagOutput); o {
			case outputTable, outputJSON:
				return nil
			default:
				return usageError{fmt.Errorf("--output: must be %s or %s, is %q", outputTable, outputJSON, o)}
			}
		},
	}
	f := root.PersistentFlags()
	// The defaults from the environment are read when they are needed: help must not show a token.
	f.String(flagAddress, "", "the broker's address (env "+envAddress+"; default "+defaultAddress+")")
	f.String(flagToken, "", "the bearer token to show the broker (env GREENROOM_TOKEN)")
	f.String(flagCACert, "", "a PEM file of the authorities that vouch for the broker's certificate (env "+envCACert+")")
	f.StringP(flagOutput, "o", outputTable, "table for people, json for programs")
	f.Bool(flagJSON, false, "the same as -o json")
	for _, make := range subcommands {
		root.AddCommand(make())
	}
	markRuns(root)
	return root
}

// Names of the flags that every command has.
const (
	flagAddress = "address"
	flagToken   = "token"
	flagOutput  = "output"
	flagJSON    = "json"
	flagCACert  = "ca-cert"
)

func flagOf(cmd *cobra.Command, name string) string {
	if f := cmd.Flags().Lookup(name); f != nil {
		return f.Value.String()
	}
	return ""
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
