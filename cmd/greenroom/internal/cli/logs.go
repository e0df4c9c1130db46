package cli

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/nomadfleet"
	"github.com/greenroom/greenroom/internal/staging"
)

// logsFlags are the flags of greenroom logs.
type logsFlags struct {
	follow, stderr bool
	task           string
	tail           int
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
  greenroom logs gr-01jd0c8m4q2v5n7x9z3b6f8h1k --tail 50 -f
  NOMAD_ADDR=https://nomad.example.org:4646 greenroom logs gr-01jd0c8m4q2v5n7x9z3b6f8h1k`,
		Args:              oneArgument("SESSION"),
		ValidArgsFunction: completeFirst(sessionIDs),
		RunE:              func(cmd *cobra.Command, args []string) error { return runLogs(cmd, args[0], f) },
	}
	fl := cmd.Flags()
	fl.BoolVarP(&f.follow, "follow", "f", false, "go on with what is written from now on, until Ctrl-C")
	fl.BoolVar(&f.stderr, "stderr", false, "the standard error instead")
	fl.IntVar(&f.tail, "tail", 0, "only the last so many lines (default: all)")
	fl.StringVar(&f.task, "task", "", "another task than the main one")
	return cmd
}

func runLogs(cmd *cobra.Command, id string, f logsFlags) error {
	if f.tail < 0 {
		return exit.BadUsage(fmt.Errorf("--tail: must be 0 or more, is %d", f.tail))
	}
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
	err = f.copy(cmd, l, stream)
	if errors.Is(err, staging.ErrNoLog) {
		return &absentError{fmt.Errorf("%w; a jobspec whose logs are disabled has none, and one of a task that has not begun, or that Nomad has removed, is not there either", err)}
	}
	return err
}

// copy copies the log: all of it, or its last lines and then, with --follow, what is written
// from then on.
func (f logsFlags) copy(cmd *cobra.Command, l *nomadfleet.Located, stream string) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	if f.tail == 0 {
		return l.Logs(ctx, f.task, stream, 0, f.follow, out)
	}
	last := tailWriter{lines: f.tail}
	if err := l.Logs(ctx, f.task, stream, 0, false, &last); err != nil {
		return err
	}
	if _, err := out.Write(last.kept); err != nil || !f.follow {
		return err
	}
	return l.Logs(ctx, f.task, stream, last.written, true, out)
}

// tailWriter keeps the last lines of what is written to it. The last one may have no line
// break yet.
type tailWriter struct {
	lines int
	kept  []byte
	// written is the number of all bytes.
	written int64
}

// Write implements io.Writer.
func (t *tailWriter) Write(p []byte) (int, error) {
	t.written += int64(len(p))
	t.kept = append(t.kept, p...)
	from := len(t.kept)
	if bytes.HasSuffix(t.kept, []byte("\n")) {
		from--
	}
	for range t.lines {
		if from = bytes.LastIndexByte(t.kept[:from], '\n'); from < 0 {
			return len(p), nil // there are not more lines
		}
	}
	t.kept = append(t.kept[:0], t.kept[from+1:]...)
	return len(p), nil
}
