package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/greenroom/greenroom/internal/nomadfleet"
	"github.com/greenroom/greenroom/internal/staging"
)

// viaNomad is what the help of the commands that go past the broker says.
const viaNomad = `This goes to Nomad directly, with your own NOMAD_ADDR and NOMAD_TOKEN (and NOMAD_CACERT,
NOMAD_REGION and so on, as for nomad itself): the broker gives nobody a way into
sessions.`

// locate finds a session in the operator's own Nomad.
func locate(ctx context.Context, id string) (*nomadfleet.Located, error) {
	c := nomadapi.DefaultConfig()
	fleet, err := nomadfleet.Open(nomadfleet.Settings{
		Address: c.Address, Region: c.Region, Token: c.SecretID, TLS: c.TLSConfig,
	}, nomadfleet.Options{Region: c.Region})
	if err != nil {
		return nil, usageError{err}
	}
	l, err := fleet.Locate(ctx, id)
	return l, nomadError(c.Address, err)
}

// nomadError says of an error of Nomad's what to do next.
func nomadError(address string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, staging.ErrNoSession):
		return &absentError{fmt.Errorf("there is no such session in the Nomad at %s, or NOMAD_TOKEN may not see it: %w", address, err)}
	}
	return fmt.Errorf("%w; NOMAD_ADDR is %s", err, address)
}

// absentError says that what a command is about is not there.
type absentError struct{ error }

// Unwrap gives the cause.
func (e *absentError) Unwrap() error { return e.error }

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
	l, err := locate(cmd.Context(), id)
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

// execFlags are the flags of greenroom exec.
type execFlags struct {
	task string
	tty  string
}

func newExecCommand() *cobra.Command {
	var f execFlags
	cmd := &cobra.Command{
		Use:   "exec SESSION -- COMMAND [ARGUMENT...]",
		Short: "Run a command inside a session",
		Long: `Run a command inside a session's main task, with your standard input and output, and
exit with its exit code. Where your input and output are a terminal, so are the command's.

` + viaNomad + `
The token needs the capabilities list-jobs, read-job and alloc-exec there
(alloc-node-exec for tasks of raw_exec). Nomad writes the command to its log: pass
secrets through the standard input.`,
		Example: `  greenroom exec gr-01jd0c8m4q2v5n7x9z3b6f8h1k -- /bin/sh
  greenroom exec gr-01jd0c8m4q2v5n7x9z3b6f8h1k -- cat /etc/hostname
  tar c homedir | greenroom exec gr-01jd0c8m4q2v5n7x9z3b6f8h1k -- tar x -C /home`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return errors.New("give one SESSION and, after --, a COMMAND")
			}
			return nil
		},
		ValidArgsFunction: completeFirst(sessionIDs),
		RunE:              func(cmd *cobra.Command, args []string) error { return runExec(cmd, args[0], args[1:], f) },
	}
	cmd.Flags().StringVar(&f.task, "task", "", "another task than the main one")
	cmd.Flags().StringVar(&f.tty, "tty", "auto", "auto, true or false: whether the command has a terminal")
	return cmd
}

func runExec(cmd *cobra.Command, id string, command []string, f execFlags) error {
	in, out := cmd.InOrStdin(), cmd.OutOrStdout()
	var tty bool
	switch f.tty {
	case "auto":
		tty = isTerminal(in) && isTerminal(out)
	case "true", "false":
		tty = f.tty == "true"
	default:
		return usageError{fmt.Errorf("--tty: must be auto, true or false, is %q", f.tty)}
	}
	l, err := locate(cmd.Context(), id)
	if err != nil {
		return err
	}
	if f.task == "" {
		f.task = l.Task
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	var sizes <-chan nomadfleet.TerminalSize
	if file, ok := in.(*os.File); tty && ok && isTerminal(in) {
		// Every key is the command's, Ctrl-C too.
		before, err := term.MakeRaw(int(file.Fd()))
		if err != nil {
			return err
		}
		defer func() { _ = term.Restore(int(file.Fd()), before) }()
		sizes = terminalSizes(ctx, file)
	}
	code, err := l.Attach(ctx, f.task, command, tty, in, out, cmd.ErrOrStderr(), sizes)
	if err != nil {
		return err
	}
	if code != exitOK {
		return exitError(code)
	}
	return nil
}

// terminalSizes tells a terminal's size, now and whenever it changes, until ctx is done.
func terminalSizes(ctx context.Context, terminal *os.File) <-chan nomadfleet.TerminalSize {
	sizes := make(chan nomadfleet.TerminalSize, 1)
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	go func() {
		defer signal.Stop(changed)
		for {
			if width, height, err := term.GetSize(int(terminal.Fd())); err == nil {
				select {
				case sizes <- nomadfleet.TerminalSize{Height: height, Width: width}:
				case <-ctx.Done():
					return
				}
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return sizes
}
