package hook_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/greenroom/greenroom/internal/hook"
	"github.com/greenroom/greenroom/internal/staging"
)

// hostile holds values that people and programs put into names.
var hostile = []string{
	"", " ", "alice", "o'brien", "''", "'\\''", `"`, "`id`", "$(id)", "${HOME}", "$HOME", "$$", "\\", "a\\", "\\n",
	"a\nb", "\n", "a\r\nb", "\t", ";", "&", "|", "}", "{", "\n}\nexit 3\n{\n", "#", "!", "*", "~", "-n", "--", "=", "a=b",
	"\U0001F600", "a\u0301", "\x7f", "\x1b[31m", "\xff\xfe", "\x81\x82\x83\x84\x85\x86\x87\x88", "EOF", "${node.datacenter}",
	everyByte(), strings.Repeat("x'", 3000), strings.Repeat("\U0001F600", 2048),
}

func everyByte() string {
	var all []byte
	for b := 1; b < 256; b++ {
		all = append(all, byte(b))
	}
	return string(all)
}

// shells returns the shells that sessions have: Debian's dash and busybox ash.
func shells(t testing.TB) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal("this test needs sh")
	}
	found["sh"] = []string{sh}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal("this test needs busybox: install busybox-static (Debian) or busybox")
	}
	found["ash"] = []string{busybox, "ash"}
	return found
}

// needsRoot fails a test that runs commands as another user, unless it runs as root.
func needsRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("this test switches users: run it as root")
	}
}

// run feeds a script to a shell through a pipe, as Nomad does.
func run(t testing.TB, shell []string, script []byte, env ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), shell[0], shell[1:]...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, env...)
	// The wrapper makes os/exec use a pipe, in which the shell cannot seek.
	cmd.Stdin = struct{ *bytes.Reader }{bytes.NewReader(script)}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// roundTrip checks that a variable, an argument and a token reach the command unchanged,
// for the task's own user and for another one.
func roundTrip(t interface {
	testing.TB
}, shell []string, value string,
) {
	t.Helper()
	for _, user := range []string{"", "nobody"} {
		h := staging.Hook{
			Cmd:         []string{"/bin/sh", "-c", `printf '%s|%s|%s|%s.' "$GREENROOM_USER_NAME" "$1" "$TOKEN" "$(cat)"`, "sh", "{username}"},
			Environment: map[string]string{"GREENROOM_USER_NAME": "the hook's, which is overridden", "TOKEN": "{username}"},
			User:        user,
		}
		script, err := hook.Script(staging.HookAssign, h, hook.Input{
			Variables: map[string]string{"GREENROOM_USER_NAME": value}, Tokens: map[staging.Token]string{staging.TokenUsername: value},
		})
		if err != nil {
			t.Fatalf("Script(%q): %v", value, err)
		}
		stdout, stderr, code := run(t, shell, script)
		if want := value + "|" + value + "|" + value + "|."; stdout != want || code != hook.ExitSuccess || stderr != "" {
			t.Fatalf("as user %q, %q arrived as %q, exit code %d, stderr %q", user, value, stdout, code, stderr)
		}
	}
}

func TestScriptCarriesAnythingAsData(t *testing.T) {
	needsRoot(t)
	for name, shell := range shells(t) {
		t.Run(name, func(t *testing.T) {
			for _, value := range hostile {
				roundTrip(t, shell, value)
			}
		})
	}
}

func TestScriptCarriesAnythingProperty(t *testing.T) {
	needsRoot(t)
	words := rapid.SampledFrom(append([]string{"'", "\"", "$(", ")", "`", "\n", "\\", "é", "\x83"}, hostile[:len(hostile)-3]...))
	value := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(words, 0, 8).Draw(t, "words"), "") +
			strings.ReplaceAll(string(rapid.SliceOfN(rapid.Byte(), 0, 16).Draw(t, "bytes")), "\x00", "")
	})
	for name, shell := range shells(t) {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(r *rapid.T) {
				v := value.Draw(r, "value")
				h := staging.Hook{
					Cmd:  []string{"/bin/sh", "-c", `printf '%s|%s.' "$K" "$1"`, "sh", v},
					User: rapid.SampledFrom([]string{"", "nobody"}).Draw(r, "user"),
				}
				script, err := hook.Script(staging.HookAssign, h, hook.Input{Variables: map[string]string{"K": v}})
				if err != nil {
					r.Fatal(err)
				}
				stdout, stderr, code := run(t, shell, script)
				if stdout != v+"|"+v+"." || code != hook.ExitSuccess || stderr != "" {
					r.Fatalf("%q arrived as %q, exit code %d, stderr %q", v, stdout, code, stderr)
				}
			})
		})
	}
}

func FuzzScript(f *testing.F) {
	needsRoot(f)
	f.Add("alice")
	f.Add("o'brien; $(id) `id`\n}")
	found := shells(f)
	f.Fuzz(func(t *testing.T, value string) {
		if strings.ContainsRune(value, 0) || len(value) > 32<<10 {
			t.Skip("no environment variable can hold it")
		}
		for _, shell := range found {
			roundTrip(t, shell, value)
		}
	})
}

func TestScriptIsDeterministicAndOrdered(t *testing.T) {
	h := staging.Hook{
		Cmd:         []string{"/opt/assign", "it's"},
		Environment: map[string]string{"B": "hook", "A": "hook"},
		Workdir:     "/srv/a b",
	}
	// The hook as it is run; the session keeps it for a restart of its main task.
	run := "cd '/srv/a b' || exit 126\n(\nexport A='hook'\nexport B='hook'\nexport C='1'\nexec '/opt/assign' 'it'\\''s'\n)"
	const file = `"$NOMAD_SECRETS_DIR/.greenroom-assign"`
	kept := "greenroom_kept='{\n" + strings.ReplaceAll(run, "'", `'\''`) + "\n}\n'\n" +
		"if [ -z \"$NOMAD_SECRETS_DIR\" ]; then :\nelif [ -f " + file + " ]; then printf '%s' \"$greenroom_kept\" >" + file +
		"\nelse (umask 077; printf '%s' \"$greenroom_kept\" >" + file + ")\nfi 2>/dev/null\n"
	want := "{\n" + kept + run + " </dev/null\n" +
		"greenroom_status=$?\ncase $greenroom_status in\n0) [ -z \"$greenroom_success_marker\" ] || echo \"$greenroom_success_marker\"; [ -z \"$greenroom_hold\" ] || read -r greenroom_hold; exit 86 ;;\n86|88) exit 87 ;;\nesac\nexit $greenroom_status\n}\n"
	for range 20 {
		script, err := hook.Script(staging.HookAssign, h, hook.Input{Variables: map[string]string{"C": "1", "B": "launch"}})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(script)); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestScriptExitCodes(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "-odd"), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		hook staging.Hook
		code int
	}{
		{"ok", staging.Hook{Cmd: []string{"true"}}, hook.ExitSuccess},
		{"its own code", staging.Hook{Cmd: []string{"/bin/sh", "-c", "exit 42"}}, 42},
		{"no such program", staging.Hook{Cmd: []string{"/does/not/exist"}}, 127},
		{"not on PATH", staging.Hook{Cmd: []string{"greenroom-no-such-program"}}, 127},
		{"no such directory", staging.Hook{Cmd: []string{"true"}, Workdir: "/does/not/exist"}, hook.ExitWorkdir},
		{"workdir", staging.Hook{Cmd: []string{"test", "-d", "-odd"}, Workdir: dir}, hook.ExitSuccess},
		{"a directory like an option", staging.Hook{Cmd: []string{"true"}, Workdir: "-odd"}, hook.ExitWorkdir},
		{"CDPATH does not divert", staging.Hook{Cmd: []string{"true"}, Workdir: "-odd", Environment: map[string]string{"CDPATH": dir}}, hook.ExitWorkdir},
		{"a signal", staging.Hook{Cmd: []string{"/bin/sh", "-c", "kill -9 $$"}}, 128 + 9},
		{"the code that means success", staging.Hook{Cmd: []string{"/bin/sh", "-c", "exit 86"}}, 87},
		{"the code that means unfinished", staging.Hook{Cmd: []string{"/bin/sh", "-c", "exit 88"}}, 87},
		{"PATH is the command's, not the script's", staging.Hook{Cmd: []string{"/bin/sh", "-c", "[ $PATH = /does/not/exist ]"}, Environment: map[string]string{"PATH": "/does/not/exist"}}, hook.ExitSuccess},
		{"a builtin's name is a program", staging.Hook{Cmd: []string{"exit", "0"}}, 127},
	}
	for name, shell := range shells(t) {
		for _, tt := range tests {
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				script, err := hook.Script(staging.HookAssign, tt.hook, hook.Input{})
				if err != nil {
					t.Fatal(err)
				}
				if _, stderr, code := run(t, shell, script); code != tt.code {
					t.Fatalf("exit code %d, want %d; stderr %q", code, tt.code, stderr)
				}
			})
		}
	}
}

// TestCutScriptRunsNothing: a connection can break after any byte. The command must then
// run completely or not at all.
func TestCutScriptRunsNothing(t *testing.T) {
	h := staging.Hook{Cmd: []string{"/bin/sh", "-c", `echo ran "$@"`, "sh", "one", "two"}, Workdir: "/", Environment: map[string]string{"K": "v"}}
	script, err := hook.Script(staging.HookAssign, h, hook.Input{Variables: map[string]string{"L": "w x"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, shell := range shells(t) {
		t.Run(name, func(t *testing.T) {
			for n := range len(script) + 1 {
				stdout, _, code := run(t, shell, script[:n])
				whole := stdout == "ran one two\n" && code == hook.ExitSuccess
				if complete := n >= len(script)-1; complete != whole || (!complete && (stdout != "" || code == hook.ExitSuccess)) {
					t.Fatalf("after %d of %d bytes (%q): stdout %q, exit code %d", n, len(script), script[:n], stdout, code)
				}
			}
		})
	}
}

func TestScriptRefuses(t *testing.T) {
	ok := []string{"true"}
	tests := []struct {
		name  string
		hook  staging.Hook
		vars  map[string]string
		field string
	}{
		{"no command", staging.Hook{}, nil, "cmd"},
		{"NUL in an argument", staging.Hook{Cmd: []string{"a", "b\x00"}}, nil, "cmd[1]"},
		{"NUL in the directory", staging.Hook{Cmd: ok, Workdir: "\x00"}, nil, "workdir"},
		{"NUL in a variable", staging.Hook{Cmd: ok}, map[string]string{"K": "\x00"}, "environment.K"},
		{"a name with shell syntax", staging.Hook{Cmd: ok}, map[string]string{"K;id;X": "v"}, "environment.K;id;X"},
		{"a name that the shell reserves", staging.Hook{Cmd: ok, Environment: map[string]string{"OPTIND": "x"}}, nil, "environment.OPTIND"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := hook.Script(staging.HookAssign, tt.hook, hook.Input{Variables: tt.vars})
			var invalid *staging.InvalidError
			if !errors.As(err, &invalid) || len(invalid.Fields) != 1 || invalid.Fields[0].Field != tt.field {
				t.Fatalf("got %v, want a refusal of %s", err, tt.field)
			}
		})
	}
}
