package hook_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/greenroom/greenroom/internal/hook"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestAnAssignHookRunsAgainWithWhatItWasRunWith: the session keeps the launch's variables,
// for its own user alone, and each start runs the hook once.
func TestAnAssignHookRunsAgainWithWhatItWasRunWith(t *testing.T) {
	for name, shell := range shells(t) {
		for _, value := range []string{"a'b\n$(id)", "}\nexit 3\n{"} {
			task, secrets, work := t.TempDir(), t.TempDir(), t.TempDir()
			h := staging.Hook{Cmd: []string{"/bin/sh", "-c", `printf '%s|%s|%s\n' "$1" "$SECRET" "$PWD" >>"$NOMAD_TASK_DIR/runs"`, "x", "{username}"}, Workdir: work}
			do := func(in hook.Input) {
				t.Helper()
				script, err := hook.Script(staging.HookAssign, h, in)
				if err != nil {
					t.Fatal(err)
				}
				if out, errs, code := run(t, shell, script, "NOMAD_TASK_DIR="+task, "NOMAD_SECRETS_DIR="+secrets); code != hook.ExitSuccess {
					t.Fatalf("%s: exit code %d, %q %q", name, code, out, errs)
				}
			}
			user := map[staging.Token]string{staging.TokenUsername: "al'ice"}
			do(hook.Input{Variables: map[string]string{"SECRET": value}, Tokens: user})
			again := hook.Input{Tokens: user, Once: true, Start: 1, Again: true}
			do(again)
			do(again)
			again.Start = 2
			do(again)
			line := "al'ice|" + value + "|" + work + "\n"
			if b, err := os.ReadFile(filepath.Join(task, "runs")); err != nil || string(b) != line+line+line {
				t.Errorf("%s: it ran as %q %v, want %q three times", name, b, err, line)
			}
			kept := filepath.Join(secrets, ".greenroom-assign")
			if i, err := os.Stat(kept); err != nil || i.Mode().Perm() != 0o600 {
				t.Errorf("%s: what is kept: %v %v", name, i, err)
			}
			// A session that has kept nothing runs the hook with what the records have.
			if err := os.Remove(kept); err != nil {
				t.Fatal(err)
			}
			again.Start = 3
			do(again)
			if b, err := os.ReadFile(filepath.Join(task, "runs")); err != nil || string(b) != line+line+line+"al'ice||"+work+"\n" {
				t.Errorf("%s: it ran as %q %v", name, b, err)
			}
		}
	}
}

// TestAShellPreparesWhatIsKept: the file is its user's alone from the start, and while nothing has
// been kept a start runs the hook with what the records have.
func TestAShellPreparesWhatIsKept(t *testing.T) {
	task, secrets := t.TempDir(), t.TempDir()
	t.Setenv("NOMAD_TASK_DIR", task)
	t.Setenv("NOMAD_SECRETS_DIR", secrets)
	r := hook.Runner{Exec: execFunc(local)}
	h := staging.Hook{Cmd: []string{"/bin/sh", "-c", `echo "of $SECRET" >>"$NOMAD_TASK_DIR/runs"`}}
	shell, err := r.Arm(t.Context(), staging.Session{}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer shell.Close()
	kept := func() (size int64) {
		t.Helper()
		i, err := os.Stat(filepath.Join(secrets, ".greenroom-assign"))
		if err != nil || i.Mode().Perm() != 0o600 {
			t.Fatalf("what is kept: %v %v", i, err)
		}
		return i.Size()
	}
	if size := kept(); size != 0 {
		t.Errorf("%d bytes are kept of no user", size)
	}
	again := func(start int) {
		t.Helper()
		if _, err := r.Run(t.Context(), staging.Session{}, staging.HookAssign, h, hook.Input{Once: true, Start: start, Again: true}); err != nil {
			t.Fatal(err)
		}
	}
	again(1)
	if _, err := r.RunIn(t.Context(), shell, staging.Session{}, staging.HookAssign, h, hook.Input{Variables: map[string]string{"SECRET": "the launch"}}); err != nil {
		t.Fatal(err)
	}
	if kept() == 0 {
		t.Error("nothing is kept of the launch")
	}
	again(2)
	const want = "of \nof the launch\nof the launch\n"
	if b, err := os.ReadFile(filepath.Join(task, "runs")); err != nil || string(b) != want {
		t.Errorf("it ran as %q %v, want %q", b, err, want)
	}
}
