package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/internal/nomadfleet"
)

// logsFlags are the flags of greenroom logs.
type logsFlags struct {
	follow, stderr bool
	task           string
}

func newLogsCommand() *cobra.Command {
	var f logsFlags
	cmd := &cobra.Command{
		Use:   "logs SESSION",
		Short: "Print what a session's program has written",
		Long: `Print what a session's main task has written to its standard output, or error, also
after the session has ended, for as long as Nomad keeps it.

` + viaNomad + `
The token needs the capabilities list-jobs, read-job and read-logs there. A jobspec
whose logs are disabled has none.`,
		Example: `  greenroom logs gr-01jd0c8m4q2v5n7x9z3b6f8h1k
  greenroom logs gr-01jd0c8m4q2v5n7x9z3b6f8h1k -f --stderr
  NOMAD_ADDR=https://nomad.example.org:4646 greenroom logs gr-01jd0c8m4q2v5n7x9z3b6f8h1k`,
		Args:              oneArgument("SESSION"),
		ValidArgsFunction: completeFirst(sessionIDs),
		RunE:              func(cmd *cobra.Command, args []string) error { return runLogs(cmd, args[0], f) },
	}
	fl := cmd.Flags()
	fl.BoolVarP(&f.follow, "follow", "f", false, "go on with what is written from now on, until Ctrl-C")
	fl.BoolVar(&f.stderr, "stderr", false, "the standard error instead")
	fl.StringVar(&f.task, "task", "", "another task than the main one")
	return cmd
}

func runLogs(cmd *cobra.Command, id string, f logsFlags) error {
	l, err := locate(cmd, id)
	if err != nil {
		return err
	}
	stream := nomadfleet.Stdout
	if f.stderr {
		stream = nomadfleet.Stderr
	}
	if f.task == "" {
		f.task = l.Task
	}
	err = l.Logs(cmd.Context(), f.task, stream, f.follow, cmd.OutOrStdout())
	if errors.Is(err, nomadfleet.ErrNoLog) {
		return &absentError{fmt.Errorf("%w; a jobspec whose logs are disabled has none, and one of a task that has not begun, or that Nomad has removed, is not there either", err)}
	}
	return err
}
