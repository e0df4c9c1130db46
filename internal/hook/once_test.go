package hook_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/hook"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestOnceRunsOnceForAllWhoAsk: concurrent and later runs all return the outcome of the
// one execution.
func TestOnceRunsOnceForAllWhoAsk(t *testing.T) {
	for name, code := range map[string]int{"success": 0, "failure": 9} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("NOMAD_TASK_DIR", dir)
			h := staging.Hook{Cmd: []string{"/bin/sh", "-c", fmt.Sprintf("echo ran >> %s/runs; sleep 0.3; echo last line >&2; exit %d", dir, code)}}
			ask := func() error {
				r, err := hook.Runner{Exec: execFunc(local)}.Run(t.Context(), staging.Session{}, staging.HookFirstLaunch, h, hook.Input{Once: true})
				return hook.Report(staging.HookFirstLaunch, r, err)
			}
			var wg sync.WaitGroup
			check := func() {
				err := ask()
				var failed *staging.HookError
				if code == 0 && err != nil {
					t.Error(err)
				}
				if code != 0 && (!errors.As(err, &failed) || failed.ExitCode != code || failed.Untouched || !strings.Contains(err.Error(), "the first_launch hook failed with exit code 9: last line")) {
					t.Error(err)
				}
			}
			for range 8 {
				wg.Go(check)
			}
			wg.Wait()
			check() // also for a later run
			if b, err := os.ReadFile(filepath.Join(dir, "runs")); err != nil || string(b) != "ran\n" {
				t.Errorf("it ran %q %v", b, err)
			}
		})
	}
}

func TestOnceWithoutATaskDirectoryIsAnError(t *testing.T) {
	for what, dir := range map[string]string{"no directory": "", "a missing directory": filepath.Join(t.TempDir(), "missing")} {
		t.Setenv("NOMAD_TASK_DIR", dir)
		ran := filepath.Join(t.TempDir(), "ran")
		h := staging.Hook{Cmd: []string{"touch", ran}}
		r, err := hook.Runner{Exec: execFunc(local)}.Run(t.Context(), staging.Session{}, staging.HookFirstLaunch, h, hook.Input{Once: true})
		if err = hook.Report(staging.HookFirstLaunch, r, err); err == nil || !strings.Contains(err.Error(), "NOMAD_TASK_DIR") {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := os.Stat(ran); err == nil {
			t.Errorf("%s: it ran", what)
		}
	}
}

// TestARunThatWasCutOffIsUnfinished: the lock of an earlier run exists and its outcome
// never arrives.
func TestARunThatWasCutOffIsUnfinished(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("NOMAD_TASK_DIR", dir)
	if err := os.Mkdir(filepath.Join(dir, ".greenroom-first_launch"), 0o755); err != nil {
		t.Fatal(err)
	}
	h := staging.Hook{Cmd: []string{"true"}, Timeout: staging.Duration(time.Second)}
	for name, shell := range shells(t) {
		script, err := hook.Script(staging.HookFirstLaunch, h, hook.Input{Once: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, stderr, code := run(t, shell, script, "NOMAD_TASK_DIR="+dir); code != hook.ExitUnfinished {
			t.Errorf("%s: exit code %d, stderr %q", name, code, stderr)
		}
	}
}

// TestARunThatTakesTooLongIsUnknown: the error has the output so far, and a later run
// returns the outcome.
func TestARunThatTakesTooLongIsUnknown(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("NOMAD_TASK_DIR", dir)
	goOn := filepath.Join(dir, "go-on")
	letGo := func() {
		if err := os.WriteFile(goOn, nil, 0o644); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(letGo)
	h := staging.Hook{
		Cmd:     []string{"/bin/sh", "-c", "echo waiting for a display >&2; until [ -f " + goOn + " ]; do sleep 0.05; done; exit 4"},
		Timeout: staging.Duration(500 * time.Millisecond),
	}
	ask := func() (hook.Result, error) {
		return hook.Runner{Exec: execFunc(local)}.Run(t.Context(), staging.Session{}, staging.HookFirstLaunch, h, hook.Input{Once: true})
	}
	for range 2 {
		r, err := ask()
		var unknown *hook.UnknownError
		if !errors.As(err, &unknown) || !errors.Is(err, context.DeadlineExceeded) || r.ExitCode != -1 || r.Stderr != "waiting for a display\n" ||
			!strings.HasSuffix(err.Error(), "it did not end within 500ms; its last line: waiting for a display") {
			t.Errorf("%+v, %v", r, err)
		}
	}
	letGo()
	var failed *hook.FailedError
	for deadline := time.Now().Add(10 * time.Second); ; {
		_, err := ask()
		if errors.As(err, &failed) && failed.ExitCode == 4 && failed.LastLine == "waiting for a display" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
