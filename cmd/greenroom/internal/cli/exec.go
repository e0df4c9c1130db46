package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/nomadfleet"
)

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
	completeFlags(cmd, map[string]names{"tty": fixed("auto", "true", "false")})
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
		return exit.BadUsage(fmt.Errorf("--tty: must be auto, true or false, is %q", f.tty))
	}
	l, err := locate(cmd, id)
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
		// In raw mode every key reaches the command in the session, also Ctrl-C.
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
	if code != exit.OK {
		return exit.Error(code)
	}
	return nil
}
