package hook_test

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/hook"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestOnceRunsOnceForAllWhoAsk, and tells all of them how it ended.
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
			check() // later, too
			if b, err := os.ReadFile(filepath.Join(dir, "runs")); err != nil || string(b) != "ran\n" {
				t.Errorf("it ran %q %v", b, err)
			}
		})
	}
}

func TestOnceWithoutAPlaceToRememberIsAnError(t *testing.T) {
	for what, dir := range map[string]string{"no directory": "", "one that is not there": "/does/not/exist"} {
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

// TestARunThatWasCutOffIsWaitedForInVain: nobody can know how it ended.
func TestARunThatWasCutOffIsWaitedForInVain(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("NOMAD_TASK_DIR", dir)
	if err := os.Mkdir(filepath.Join(dir, ".greenroom-first_launch"), 0o755); err != nil {
		t.Fatal(err)
	}
	h := staging.Hook{Cmd: []string{"true"}, Timeout: staging.Duration(2 * time.Second)}
	for name, shell := range shells(t) {
		script, err := hook.Script(staging.HookFirstLaunch, h, hook.Input{Once: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, stderr, code := run(t, shell, script, "NOMAD_TASK_DIR="+dir); code != hook.ExitUnfinished || !strings.Contains(stderr, "has not ended") {
			t.Errorf("%s: exit code %d, stderr %q", name, code, stderr)
		}
	}
}

// TestTheHooksUserRunsIt, with every program that may be there to switch, and
// its arguments and environment stay what they are.
func TestTheHooksUserRunsIt(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("this test switches users, so it must run as root")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	h := staging.Hook{
		Cmd:  []string{"/bin/sh", "-c", `printf '%s|%s|%s' "$(/usr/bin/id -u)" "$1" "$K"`, "sh", "-x '$(id)'\n--"},
		User: "nobody",
	}
	for name, shell := range shells(t) {
		for _, with := range []string{"runuser", "su", "busybox su"} {
			t.Run(name+"/"+with, func(t *testing.T) {
				script, err := hook.Script(staging.HookAssign, h, hook.Input{Variables: map[string]string{"K": "a 'b' $c"}})
				if err != nil {
					t.Fatal(err)
				}
				stdout, stderr, code := run(t, shell, script, "PATH="+only(t, with))
				if want := nobody.Uid + "|-x '$(id)'\n--|a 'b' $c"; stdout != want || code != hook.ExitSuccess {
					t.Errorf("%q, want %q; exit code %d, stderr %q", stdout, want, code, stderr)
				}
			})
		}
		t.Run(name+"/none", func(t *testing.T) {
			refusals := map[string]string{"no-such-user": "not a user of the container"}
			if name != "ash" { // which has a su of its own
				refusals["nobody"] = "no program to switch with"
			}
			for user, want := range refusals {
				h.User = user
				script, err := hook.Script(staging.HookAssign, h, hook.Input{})
				if err != nil {
					t.Fatal(err)
				}
				if _, stderr, code := run(t, shell, script, "PATH="+only(t, "")); code != hook.ExitUser || !strings.Contains(stderr, want) {
					t.Errorf("user %s: exit code %d, stderr %q", user, code, stderr)
				}
			}
			h.User = "root" // already: nothing to switch
			script, err := hook.Script(staging.HookAssign, h, hook.Input{})
			if err != nil {
				t.Fatal(err)
			}
			if stdout, stderr, code := run(t, shell, script, "PATH="+only(t, "")); code != hook.ExitSuccess || !strings.HasPrefix(stdout, "0|") {
				t.Errorf("%q %q %d", stdout, stderr, code)
			}
			h.User = "nobody"
		})
	}
}

// only gives a directory for PATH with id and one program to switch users with.
func only(t *testing.T, with string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	link := func(name string, candidates ...string) {
		for _, c := range candidates {
			if _, err := os.Stat(c); err == nil {
				if err := os.Symlink(c, filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
				return
			}
		}
		t.Fatalf("this test needs one of %v", candidates)
	}
	link("id", "/usr/bin/id", "/bin/id")
	switch with {
	case "":
	case "busybox su":
		link("su", "/bin/busybox", "/usr/bin/busybox")
	default:
		link(with, "/usr/sbin/"+with, "/sbin/"+with, "/usr/bin/"+with, "/bin/"+with)
	}
	return dir
}
