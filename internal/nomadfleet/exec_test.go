package nomadfleet_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/devcluster/devtest"
	"github.com/greenroom/greenroom/internal/hook"
	"github.com/greenroom/greenroom/internal/nomadfleet"
	"github.com/greenroom/greenroom/internal/staging"
)

// execUntilAnswered runs a command until Nomad returns its exit code. While Nomad cuts it off, the
// error says that the exit code is not known.
func (r *rig) execUntilAnswered(t *testing.T, s staging.Session, cmd []string, stdin string) (code int, err error) {
	t.Helper()
	ctx := testContext(t)
	return devtest.Answered(func() (int, error) {
		code, err := r.Exec(ctx, s, "", cmd, strings.NewReader(stdin), io.Discard, io.Discard)
		if devtest.CutOff(err) && (code != -1 || !errors.Is(err, nomadfleet.ErrUnavailable)) {
			t.Errorf("after a connection that broke: exit code %d, %v", code, err)
		}
		return code, err
	})
}

func TestExec(t *testing.T) {
	r := newRig(t)
	for _, driver := range []string{"raw_exec", "docker"} {
		t.Run(driver, func(t *testing.T) {
			s := r.startForExec(t, app(t, driver), nil)
			for _, code := range []int{0, 1, 42, 127} {
				got, err := r.execUntilAnswered(t, s, []string{"/bin/sh"}, fmt.Sprintf("exit %d\n", code))
				if err != nil || got != code && !notStartedYet(driver, got) {
					t.Errorf("exit code %d, %v, want %d", got, err, code)
				}
			}

			// Binary data, and more than any buffer holds.
			data := make([]byte, 300_000)
			for i := range data {
				data[i] = byte(rand.Uint32())
			}
			want := fmt.Sprintf("%x", sha256.Sum256(data))
			eventually(t, "all of stdin arrives", func() bool {
				var errs bytes.Buffer
				code, err := r.Exec(testContext(t), s, "app", []string{"/bin/sh", "-c", "cat > $NOMAD_TASK_DIR/got"}, bytes.NewReader(data), io.Discard, &errs)
				if err != nil || code != 0 {
					t.Fatalf("exit code %d, %v, %s", code, err, errs.String())
				}
				sum := r.shell(t, s, busyboxOf(t, driver)+` sha256sum < "$NOMAD_TASK_DIR/got"`)
				if driver != "docker" && !strings.HasPrefix(sum, want) {
					t.Fatalf("sum %q, want %q", sum, want)
				}
				return strings.HasPrefix(sum, want)
			})

			// The session's allocation and task are not known.
			code, err := r.execUntilAnswered(t, staging.Session{ID: s.ID}, []string{"/bin/sh"}, "exit 5\n")
			if err != nil || code != 5 && !notStartedYet(driver, code) {
				t.Errorf("by id alone: exit code %d, %v", code, err)
			}

			if _, err := r.Exec(testContext(t), s, "no-such-task", []string{"/bin/sh"}, strings.NewReader(""), io.Discard, io.Discard); !errors.Is(err, nomadfleet.ErrUnavailable) {
				t.Errorf("no such task: %v", err)
			}
			code, err = r.Exec(testContext(t), s, "", []string{"/no/such/program"}, strings.NewReader(""), io.Discard, io.Discard)
			t.Logf("no such program: exit code %d, %v", code, err)
			if err == nil && code == 0 && !notStartedYet(driver, code) {
				t.Error("a program that is not there succeeded")
			}

			// A command that does not end does not block the caller.
			ctx, cancel := context.WithCancel(testContext(t))
			started := make(chan struct{})
			go func() { <-started; cancel() }()
			for {
				code, err = r.Exec(ctx, s, "", []string{"/bin/sh"}, strings.NewReader("echo up; exec sleep 5\n"), signalWriter{started}, io.Discard)
				if err != nil || !notStartedYet(driver, code) {
					break
				}
			}
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// notStartedYet reports whether the docker driver may have returned this exit code for a
// command that it has not started yet.
func notStartedYet(driver string, code int) bool { return driver == "docker" && code == 0 }

func busyboxOf(t testing.TB, driver string) string {
	t.Helper()
	if driver == "docker" {
		return "/bin/busybox"
	}
	return busybox(t)
}

// signalWriter closes its channel on the first write.
type signalWriter struct{ c chan struct{} }

func (w signalWriter) Write(p []byte) (int, error) {
	select {
	case <-w.c:
	default:
		close(w.c)
	}
	return len(p), nil
}

// TestHookThroughNomad runs the assign hook through a real Nomad.
func TestHookThroughNomad(t *testing.T) {
	r := newRig(t)
	name := "o'brien \"x\" $(id) `id` ${node.datacenter}\n}\nexit 9\n\U0001F600"
	for _, driver := range []string{"raw_exec", "docker"} {
		t.Run(driver, func(t *testing.T) {
			s := r.startForExec(t, app(t, driver), nil)
			run := func(h staging.Hook, task string) (hook.Result, error) {
				s := s
				s.Task = task
				return hook.Runner{Exec: r}.Run(testContext(t), s, staging.HookAssign, h, hook.Input{Variables: map[string]string{"GREENROOM_USER_NAME": name}})
			}
			result, err := run(staging.Hook{Cmd: []string{"/bin/sh", "-c", `printf '%s' "$GREENROOM_USER_NAME" > "$NOMAD_TASK_DIR/greeted"`}}, "")
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("the hook took %s, with %d shells opened", result.Duration, result.Armings)
			if got := r.shell(t, s, `cat "$NOMAD_TASK_DIR/greeted"`); got != name {
				t.Errorf("greeted %q, want %q", got, name)
			}

			_, err = run(staging.Hook{Cmd: []string{"/bin/sh", "-c", "echo not today >&2; exit 3"}}, "")
			var failed *hook.FailedError
			if !errors.As(err, &failed) || failed.ExitCode != 3 || (driver != "docker" && failed.LastLine != "not today") {
				t.Errorf("got %v", err)
			}
			_, err = run(staging.Hook{Cmd: []string{"/no/such/hook"}}, "")
			if !errors.As(err, &failed) || failed.ExitCode != 127 {
				t.Errorf("got %v", err)
			}
			_, err = run(staging.Hook{Cmd: []string{"/bin/sleep", "9"}, Timeout: staging.Duration(4 * time.Second)}, "")
			var unknown *hook.UnknownError
			if !errors.As(err, &unknown) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			gone := s
			gone.Task = "app"
			gone.AllocID = "00000000-0000-0000-0000-000000000000"
			_, err = hook.Runner{Exec: r}.Run(testContext(t), gone, staging.HookAssign, staging.Hook{Cmd: []string{"true"}}, hook.Input{})
			// Nomad accepts the connection before it looks for the allocation. Some of the
			// script may have been sent by then, so both errors are right.
			var notStarted *hook.NotStartedError
			if !(errors.As(err, &unknown) || errors.As(err, &notStarted)) || !strings.Contains(err.Error(), "Unknown allocation") {
				t.Errorf("an allocation that is gone: %v", err)
			}
		})
	}
}
