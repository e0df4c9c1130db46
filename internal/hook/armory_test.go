package hook_test

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/hook"
	"github.com/greenroom/greenroom/internal/staging"
)

var hello = staging.Hook{Cmd: []string{"/bin/sh", "-c", `printf 'hello %s' "$GREENROOM_USER_NAME"`}}

func named(name string) hook.Input {
	return hook.Input{Variables: map[string]string{"GREENROOM_USER_NAME": name}}
}

// counted returns a Runner that counts its execs.
func counted(execs *atomic.Int32, then execFunc) hook.Runner {
	return hook.Runner{Exec: execFunc(func(ctx context.Context, cmd []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
		execs.Add(1)
		return then(ctx, cmd, stdin, stdout, stderr)
	})}
}

func TestAnArmedShellRunsTheHook(t *testing.T) {
	var execs atomic.Int32
	r := counted(&execs, local)
	shell, err := r.Arm(t.Context(), staging.Session{}, "")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if !shell.Alive(t.Context()) {
			t.Fatal("a waiting shell does not answer a probe")
		}
	}
	result, err := r.RunIn(t.Context(), shell, staging.Session{}, staging.HookAssign, hello, named("it's $(me)"))
	if err != nil || result.Stdout != "hello it's $(me)" || result.Armings != 0 || execs.Load() != 1 {
		t.Errorf("%+v, %v, after %d execs", result, err, execs.Load())
	}
	if shell.Alive(t.Context()) {
		t.Error("a used shell is still alive")
	}
	shell.Close()
}

func TestAnArmedShellThatEndedIsReplacedWithinTheRun(t *testing.T) {
	var execs atomic.Int32
	r := counted(&execs, local)
	shell, err := r.Arm(t.Context(), staging.Session{}, "")
	if err != nil {
		t.Fatal(err)
	}
	shell.Close()
	result, err := r.RunIn(t.Context(), shell, staging.Session{}, staging.HookAssign, hello, named("x"))
	if err != nil || result.Stdout != "hello x" || execs.Load() != 2 {
		t.Errorf("%+v, %v, after %d execs", result, err, execs.Load())
	}
}

// TestAnArmedShellThatIsLostAfterTheFirstByte: its outcome is unknown, so RunIn opens no
// other shell.
func TestAnArmedShellThatIsLostAfterTheFirstByte(t *testing.T) {
	var execs atomic.Int32
	r := counted(&execs, func(_ context.Context, _ []string, stdin io.Reader, stdout, _ io.Writer) (int, error) {
		greet(stdin, stdout)
		_, _ = stdin.Read(make([]byte, 1))
		return -2, errors.New("connection lost")
	})
	shell, err := r.Arm(t.Context(), staging.Session{}, "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.RunIn(t.Context(), shell, staging.Session{}, staging.HookAssign, hello, named("x"))
	var unknown *hook.UnknownError
	if !errors.As(err, &unknown) || execs.Load() != 1 {
		t.Errorf("%v, after %d execs", err, execs.Load())
	}
}

func TestASilentShellIsNotTakenForAlive(t *testing.T) {
	r := hook.Runner{Exec: execFunc(func(ctx context.Context, _ []string, stdin io.Reader, stdout, _ io.Writer) (int, error) {
		greet(stdin, stdout)
		<-ctx.Done()
		return -2, ctx.Err()
	})}
	shell, err := r.Arm(t.Context(), staging.Session{}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer shell.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if shell.Alive(ctx) {
		t.Error("it did not answer, and counts as alive")
	}
}

func TestArmFailsIfNoShellOpens(t *testing.T) {
	for name, exec := range map[string]execFunc{
		"no such program": func(context.Context, []string, io.Reader, io.Writer, io.Writer) (int, error) { return 127, nil },
		"no connection": func(context.Context, []string, io.Reader, io.Writer, io.Writer) (int, error) {
			return -2, errors.New("refused")
		},
	} {
		a := &hook.Armory{Runner: hook.Runner{Exec: exec}}
		if err := a.Arm(t.Context(), staging.Session{ID: "s", Staging: "p"}, ""); err == nil || a.Count() != 0 || taken(a, "s", "") != nil {
			t.Errorf("%s: %v, %d shells", name, err, a.Count())
		}
		a.Close()
	}
}

func TestTheArmoryKeepsOneShellASession(t *testing.T) {
	var execs atomic.Int32
	a := &hook.Armory{Runner: counted(&execs, local)}
	defer a.Close()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := a.Arm(t.Context(), staging.Session{ID: "s1", Staging: "p"}, "main"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := a.Arm(t.Context(), staging.Session{ID: "s2", Staging: "q"}, "main"); err != nil {
		t.Fatal(err)
	}
	if p, q := a.Armed("p"), a.Armed("q"); a.Count() != 2 || len(p) != 1 || p[0] != "s1" || len(q) != 1 || q[0] != "s2" {
		t.Errorf("%d shells: %v, %v", a.Count(), p, q)
	}
	if taken(a, "s1", "another task") != nil {
		t.Error("Take returned a shell in another task")
	}
	a.Keep(t.Context(), map[string]bool{"s1": true})
	if taken(a, "s2", "main") != nil {
		t.Error("Keep kept the shell of a session that is not in the list")
	}
	shell := taken(a, "s1", "main")
	if shell == nil || taken(a, "s1", "main") != nil {
		t.Fatal("Take must return a shell exactly once")
	}
	shell.Close()
}

// taken is the shell of a session that an armory returns.
func taken(a *hook.Armory, session, task string) *hook.Shell {
	return a.Take(staging.Session{ID: session}, task)
}

// TestAUsedShellIsClosedBehindTheLaunch: a hook that has succeeded is not held up by its shell's end,
// and every used shell is closed, also where it does not end by itself, and those of a closed armory.
func TestAUsedShellIsClosedBehindTheLaunch(t *testing.T) {
	var open atomic.Int32
	a := &hook.Armory{Runner: hook.Runner{Exec: execFunc(func(ctx context.Context, cmd []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
		open.Add(1)
		defer open.Add(-1)
		code, err := local(context.WithoutCancel(ctx), cmd, stdin, stdout, stderr)
		<-ctx.Done() // as with a driver that notices the end much later
		return code, err
	})}}
	defer a.Close()
	use := func() {
		t.Helper()
		if err := a.Arm(t.Context(), staging.Session{ID: "s", Staging: "p"}, ""); err != nil {
			t.Fatal(err)
		}
		shell := taken(a, "s", "")
		if shell == nil {
			t.Fatal("no shell")
		}
		if result, err := a.Runner.RunIn(t.Context(), shell, staging.Session{}, staging.HookAssign, hello, named("x")); err != nil || result.Stdout != "hello x" {
			t.Fatalf("%+v %v", result, err)
		}
		a.Discard(shell)
	}
	use()
	if open.Load() != 1 {
		t.Errorf("%d shells are open when the hook has just run, want 1", open.Load())
	}
	for deadline := time.Now().Add(10 * time.Second); open.Load() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d shells are still open", open.Load())
		}
	}
	for range 3 {
		use()
	}
	a.Close()
	if open.Load() != 0 {
		t.Errorf("%d shells are open when the armory is closed", open.Load())
	}
	shell, err := a.Runner.Arm(t.Context(), staging.Session{}, "")
	if err != nil {
		t.Fatal(err)
	}
	a.Discard(shell)
	a.Close() // waits for it
	if open.Load() != 0 {
		t.Errorf("%d shells are open after the armory was closed", open.Load())
	}
}

// TestAnArmedShellOutlivesItsHook: it waits for the end of its stdin, so that its own end is no
// work for the node while the launch goes on. One that was opened for the hook ends with it.
func TestAnArmedShellOutlivesItsHook(t *testing.T) {
	var ended atomic.Int32
	r := hook.Runner{Exec: execFunc(func(ctx context.Context, cmd []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
		c := exec.CommandContext(ctx, cmd[0])
		c.Stdout, c.Stderr = stdout, stderr
		in, err := c.StdinPipe()
		if err != nil {
			return -1, err
		}
		defer in.Close()
		if err := c.Start(); err != nil {
			return -1, err
		}
		go func() { _, _ = io.Copy(in, stdin) }() // and leaves it open
		_ = c.Wait()
		ended.Add(1)
		return c.ProcessState.ExitCode(), ctx.Err()
	})}
	shell, err := r.Arm(t.Context(), staging.Session{}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.RunIn(t.Context(), shell, staging.Session{}, staging.HookAssign, hello, named("x")); err != nil {
		t.Fatal(err)
	}
	if result, err := r.Run(t.Context(), staging.Session{}, staging.HookAssign, staging.Hook{Cmd: []string{"/bin/sh", "-c", "exit 3"}}, hook.Input{}); result.ExitCode != 3 || ended.Load() != 1 {
		t.Errorf("%v; %d shells have ended, want the second", err, ended.Load())
	}
	shell.Close()
	if ended.Load() != 2 {
		t.Errorf("%d shells have ended, want both", ended.Load())
	}
}

func TestAClosedArmoryArmsNothing(t *testing.T) {
	a := &hook.Armory{Runner: hook.Runner{Exec: execFunc(local)}}
	a.Close()
	if err := a.Arm(t.Context(), staging.Session{ID: "s", Staging: "p"}, ""); err != nil || a.Count() != 0 {
		t.Errorf("%v, %d shells", err, a.Count())
	}
}
