package hook_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/greenroom/greenroom/internal/hook"
	"github.com/greenroom/greenroom/internal/staging"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// execFunc is a function as an Execer.
type execFunc func(ctx context.Context, cmd []string, stdin io.Reader, stdout, stderr io.Writer) (int, error)

func (f execFunc) Exec(ctx context.Context, _ staging.Session, _ string, cmd []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	return f(ctx, cmd, stdin, stdout, stderr)
}

// local runs the command on this machine, as the raw_exec driver does.
func local(ctx context.Context, cmd []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	c := exec.CommandContext(ctx, cmd[0], cmd[1:]...)
	c.Stdin, c.Stdout, c.Stderr = stdin, stdout, stderr
	c.WaitDelay = time.Second // do not wait for processes that a hook leaves running
	err := c.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		err = nil
	}
	return c.ProcessState.ExitCode(), err
}

func TestRunSucceeds(t *testing.T) {
	var argv []string
	r := hook.Runner{Exec: execFunc(func(ctx context.Context, cmd []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
		argv = cmd
		return local(ctx, cmd, stdin, stdout, stderr)
	})}
	secret := "it's $(secret)"
	h := staging.Hook{Cmd: []string{"/bin/sh", "-c", `printf %s "$GREENROOM_USER_NAME"; echo warn >&2`}}
	result, err := r.Run(t.Context(), staging.Session{}, staging.HookAssign, h, hook.Input{Variables: map[string]string{"GREENROOM_USER_NAME": secret}})
	if err != nil {
		t.Fatal(err)
	}
	if result.Stdout != secret || result.Stderr != "warn\n" || result.ExitCode != 0 || result.Armings != 1 || result.Duration <= 0 {
		t.Errorf("got %+v", result)
	}
	if strings.Join(argv, " ") != "/bin/sh" {
		t.Errorf("the command line is %q: Nomad would log it", argv)
	}
}

func TestRunErrorsSayHowFarItGot(t *testing.T) {
	lost := errors.New("connection lost")
	tests := []struct {
		name string
		hook staging.Hook
		exec execFunc
		want func(error) bool
	}{
		{
			"failed",
			staging.Hook{Cmd: []string{"/bin/sh", "-c", "echo one >&2; echo two >&2; exit 3"}},
			local,
			func(err error) bool {
				var e *hook.FailedError
				return errors.As(err, &e) && e.ExitCode == 3 && e.LastLine == "two"
			},
		},
		{
			"not connected",
			staging.Hook{Cmd: []string{"true"}},
			func(context.Context, []string, io.Reader, io.Writer, io.Writer) (int, error) { return -2, lost },
			func(err error) bool {
				var e *hook.NotStartedError
				return errors.As(err, &e) && errors.Is(err, lost)
			},
		},
		{
			"lost before the shell was up",
			staging.Hook{Cmd: []string{"true"}},
			func(_ context.Context, _ []string, stdin io.Reader, _, _ io.Writer) (int, error) {
				_, _ = stdin.Read(make([]byte, 100))
				return -2, lost
			},
			func(err error) bool {
				var e *hook.NotStartedError
				return errors.As(err, &e) && errors.Is(err, lost)
			},
		},
		{
			"lost after the first byte",
			staging.Hook{Cmd: []string{"true"}},
			func(_ context.Context, _ []string, stdin io.Reader, stdout, _ io.Writer) (int, error) {
				greet(stdin, stdout)
				_, _ = stdin.Read(make([]byte, 1))
				return -2, lost
			},
			func(err error) bool {
				var e *hook.UnknownError
				return errors.As(err, &e) && errors.Is(err, lost)
			},
		},
		{
			"exit code 0 without proof of success",
			staging.Hook{Cmd: []string{"true"}},
			func(_ context.Context, _ []string, stdin io.Reader, stdout, _ io.Writer) (int, error) {
				greet(stdin, stdout)
				_, _ = stdin.Read(make([]byte, 1))
				return 0, nil
			},
			func(err error) bool {
				var e *hook.UnknownError
				return errors.As(err, &e)
			},
		},
		{
			"out of time",
			staging.Hook{Cmd: []string{"true"}, Timeout: staging.Duration(time.Millisecond)},
			func(ctx context.Context, _ []string, stdin io.Reader, stdout, _ io.Writer) (int, error) {
				greet(stdin, stdout)
				_, _ = io.ReadAll(stdin)
				<-ctx.Done()
				return -2, ctx.Err()
			},
			func(err error) bool {
				var e *hook.UnknownError
				return errors.As(err, &e) && errors.Is(err, context.DeadlineExceeded)
			},
		},
		{
			"no shell",
			staging.Hook{Cmd: []string{"true"}},
			func(context.Context, []string, io.Reader, io.Writer, io.Writer) (int, error) { return 127, nil },
			func(err error) bool {
				var e *hook.NotStartedError
				return errors.As(err, &e) && strings.Contains(err.Error(), "127")
			},
		},
		{
			"shells that never come up",
			staging.Hook{Cmd: []string{"true"}},
			func(context.Context, []string, io.Reader, io.Writer, io.Writer) (int, error) { return 0, nil },
			func(err error) bool {
				var e *hook.NotStartedError
				return errors.As(err, &e)
			},
		},
		{
			"cannot be written",
			staging.Hook{Cmd: []string{"\x00"}},
			nil,
			func(err error) bool {
				var e *staging.InvalidError
				return errors.As(err, &e)
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := hook.Runner{Exec: tt.exec}.Run(t.Context(), staging.Session{}, staging.HookAssign, tt.hook, hook.Input{})
			if !tt.want(err) {
				t.Fatalf("got %T: %v", err, err)
			}
		})
	}
}

// greet reads the shell's first command and prints its ready marker, in two writes.
func greet(stdin io.Reader, stdout io.Writer) {
	b := make([]byte, 1000)
	n, _ := stdin.Read(b)
	_, greeting, _ := bytes.Cut(b[:n], []byte("echo "))
	_, _ = stdout.Write(greeting[:8])
	_, _ = stdout.Write(greeting[8:])
}

// TestAnotherShellIsOpened: Nomad's docker driver may report exit code 0 for a shell that
// has not started. Nothing was sent to it, so Run opens another one.
func TestAnotherShellIsOpened(t *testing.T) {
	opened := 0
	r := hook.Runner{Exec: execFunc(func(ctx context.Context, cmd []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
		if opened++; opened < 3 {
			return 0, nil
		}
		return local(ctx, cmd, stdin, stdout, stderr)
	})}
	result, err := r.Run(t.Context(), staging.Session{}, staging.HookAssign, staging.Hook{Cmd: []string{"/bin/sh", "-c", "echo done"}}, hook.Input{})
	if err != nil || opened != 3 || result.Armings != 3 || result.Stdout != "done\n" {
		t.Fatalf("%+v, %v", result, err)
	}
}

// TestABrokenConnectionIsMadeAgain: on a busy node, Nomad may close an exec's connection
// without a reason. Nothing was sent through it, so Run and Arm open another one, but not
// for ever.
func TestABrokenConnectionIsMadeAgain(t *testing.T) {
	for _, broken := range []int{2, 3} {
		opened := 0
		r := hook.Runner{Exec: execFunc(func(ctx context.Context, cmd []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
			if opened++; opened <= broken {
				return -2, io.ErrUnexpectedEOF
			}
			return local(ctx, cmd, stdin, stdout, stderr)
		})}
		check := func(what string, err error) {
			t.Helper()
			if served := broken < 3; opened != 3 || served != (err == nil) || !served && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s after %d broken connections: %d opened, %v", what, broken, opened, err)
			}
			opened = 0
		}
		result, err := r.Run(t.Context(), staging.Session{}, staging.HookAssign, staging.Hook{Cmd: []string{"/bin/sh", "-c", "echo done"}}, hook.Input{})
		check("Run", err)
		if err == nil && result.Stdout != "done\n" {
			t.Errorf("%+v", result)
		}
		shell, err := r.Arm(t.Context(), staging.Session{}, "")
		check("Arm", err)
		if err == nil {
			shell.Close()
		}
	}
}

// TestSuccessMarkerEndsTheWait: Run returns as soon as the hook has succeeded, even if
// the exec does not return.
func TestSuccessMarkerEndsTheWait(t *testing.T) {
	r := hook.Runner{Exec: execFunc(func(ctx context.Context, cmd []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
		_, err := local(context.WithoutCancel(ctx), cmd, stdin, stdout, stderr)
		if err != nil {
			return -2, err
		}
		// Nomad's docker driver notices the end late.
		<-ctx.Done()
		return -2, ctx.Err()
	})}
	h := staging.Hook{Cmd: []string{"/bin/sh", "-c", `printf 'no newline'; env | grep -i success_marker; true`}}
	result, err := r.Run(t.Context(), staging.Session{}, staging.HookAssign, h, hook.Input{})
	if err != nil || result.Stdout != "no newline" || result.ExitCode != 0 {
		t.Fatalf("%+v, %v", result, err)
	}
}

// TestNothingIsSentAfterRunReturned: the client library may read stdin after the exec has
// returned. It must read nothing then, because "not started" is a promise.
func TestNothingIsSentAfterRunReturned(t *testing.T) {
	var late io.Reader
	r := hook.Runner{Exec: execFunc(func(_ context.Context, _ []string, stdin io.Reader, _, _ io.Writer) (int, error) {
		late = stdin
		return -2, errors.New("connection timed out")
	})}
	_, err := r.Run(t.Context(), staging.Session{}, staging.HookAssign, staging.Hook{Cmd: []string{"true"}}, hook.Input{})
	var notStarted *hook.NotStartedError
	if !errors.As(err, &notStarted) {
		t.Fatalf("got %v", err)
	}
	if b, err := io.ReadAll(late); len(b) != 0 || err != nil {
		t.Fatalf("read %q, %v", b, err)
	}
}

func TestOutputIsBounded(t *testing.T) {
	h := staging.Hook{Cmd: []string{"/bin/sh", "-c", `i=0; while [ $i -lt 3000 ]; do echo "line $i"; i=$((i+1)); done; exit 1`}}
	result, err := hook.Runner{Exec: execFunc(local)}.Run(t.Context(), staging.Session{}, staging.HookAssign, h, hook.Input{})
	var failed *hook.FailedError
	if !errors.As(err, &failed) || failed.LastLine != "line 2999" {
		t.Fatalf("got %v", err)
	}
	if len(result.Stdout) != hook.TailBytes || !strings.HasSuffix(result.Stdout, "line 2998\nline 2999\n") {
		t.Fatalf("kept %d bytes", len(result.Stdout))
	}
}
