package hook_test

import (
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/hook"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestTheHooksUserRunsIt with every program that can switch users. Arguments and
// environment stay unchanged.
func TestTheHooksUserRunsIt(t *testing.T) {
	needsRoot(t)
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	const stranger = "64321"
	h := staging.Hook{
		Cmd:         []string{"/bin/sh", "-c", `printf '%s' "$(/usr/bin/id -u):$(/usr/bin/id -g):$(/usr/bin/id -G)|$1|$K|$HOME|$USER|$(/usr/bin/env | /bin/grep -c greenroom_)"`, "sh", "-x '$(id)'\n--"},
		Environment: map[string]string{"USER": "the hook's"},
	}
	nobodys := nobody.Uid + ":" + nobody.Gid + ":" + nobody.Gid
	tests := []struct {
		with, user, ids string
	}{
		{"runuser", "nobody", nobodys},
		{"runuser", nobody.Uid, nobodys},
		{"su-exec", "nobody", nobodys},
		{"su-exec", stranger, "64321:64321:64321"},
		{"gosu", "nobody", nobodys},
		{"gosu", stranger, "64321:64321:64321"},
		{"setpriv", "nobody", nobodys},
		{"setpriv", nobody.Uid, nobodys},
		{"setpriv", stranger, "64321:64321:64321"},
		{"su", "nobody", nobodys},
		{"su", nobody.Uid, nobodys},
		{"busybox su", "nobody", nobodys},
	}
	for name, shell := range shells(t) {
		for _, tt := range tests {
			if name == "ash" && tt.with == "setpriv" {
				continue // ash prefers busybox's own setpriv, which cannot switch users
			}
			t.Run(name+"/"+tt.with+"/"+tt.user, func(t *testing.T) {
				home := nobody.HomeDir
				if tt.user == stranger {
					home = "/as/it/was"
				}
				h := h
				h.User = tt.user
				script, err := hook.Script(staging.HookAssign, h, hook.Input{Variables: map[string]string{"K": "a 'b' $c"}})
				if err != nil {
					t.Fatal(err)
				}
				stdout, stderr, code := run(t, shell, script, "PATH="+only(t, tt.with), "HOME=/as/it/was")
				want := tt.ids + "|-x '$(id)'\n--|a 'b' $c|" + home + "|the hook's|0"
				if stdout != want || code != hook.ExitSuccess || stderr != "" {
					t.Errorf("%q, want %q; exit code %d, stderr %q", stdout, want, code, stderr)
				}
			})
		}
	}
}

// TestAUserWhoCannotBeSwitchedToIsAClearError; no switch is needed if the shell runs as
// the user already.
func TestAUserWhoCannotBeSwitchedToIsAClearError(t *testing.T) {
	needsRoot(t)
	for name, shell := range shells(t) {
		try := func(t *testing.T, user, path string, prefix ...string) (string, string, int) {
			t.Helper()
			h := staging.Hook{Cmd: []string{"/usr/bin/id", "-un"}, User: user}
			script, err := hook.Script(staging.HookAssign, h, hook.Input{})
			if err != nil {
				t.Fatal(err)
			}
			return run(t, append(prefix, shell...), script, "PATH="+path)
		}
		asNobody := []string{"/usr/bin/setpriv", "--reuid=nobody", "--clear-groups"}
		tests := []struct {
			name, user, path string
			prefix           []string
			want             string
		}{
			{"no such user", "no-such-user", only(t, ""), nil, "is not a user of the container"},
			{"not root", "daemon", only(t, "su"), asNobody, "the task does not run as root"},
		}
		if name != "ash" { // busybox ash has all of busybox's programs built in
			tests = append(tests, tests[:1]...)
			tests[2].name, tests[2].user, tests[2].want = "nothing to switch with", "nobody", "install runuser, su-exec, gosu, setpriv (util-linux) or su"
			tests = append(tests, tests[0])
			tests[3].name, tests[3].path, tests[3].want = "no id", t.TempDir(), "no id program"
		}
		for _, tt := range tests {
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				stdout, stderr, code := try(t, tt.user, tt.path, tt.prefix...)
				if code != hook.ExitUser || stdout != "" || !strings.Contains(stderr, tt.want) || !strings.Contains(stderr, `the hook's user "`+tt.user+`"`) {
					t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout, stderr)
				}
			})
		}
		t.Run(name+"/already root", func(t *testing.T) {
			if stdout, stderr, code := try(t, "root", only(t, "")); code != hook.ExitSuccess || stdout != "root\n" {
				t.Errorf("%q %q %d", stdout, stderr, code)
			}
		})
		t.Run(name+"/already nobody", func(t *testing.T) {
			if stdout, stderr, code := try(t, "nobody", only(t, ""), asNobody...); code != hook.ExitSuccess || stdout != "nobody\n" {
				t.Errorf("%q %q %d", stdout, stderr, code)
			}
		})
	}
}

// TestSwitchingUsersIgnoresTheHooksEnvironment: the switch runs as root, and a launch may
// set any PATH.
func TestSwitchingUsersIgnoresTheHooksEnvironment(t *testing.T) {
	needsRoot(t)
	planted, trace := t.TempDir(), filepath.Join(t.TempDir(), "trace")
	for _, program := range []string{"id", "runuser", "su-exec"} {
		script := "#!/bin/sh\necho $0 >> " + trace + "\nexit 1\n"
		if err := os.WriteFile(filepath.Join(planted, program), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h := staging.Hook{Cmd: []string{"/bin/sh", "-c", `printf %s "$PATH"`}, User: "nobody"}
	for name, shell := range shells(t) {
		script, err := hook.Script(staging.HookAssign, h, hook.Input{Variables: map[string]string{"PATH": planted}})
		if err != nil {
			t.Fatal(err)
		}
		stdout, stderr, code := run(t, shell, script)
		if _, err := os.Stat(trace); err == nil || stdout != planted || code != hook.ExitSuccess {
			t.Errorf("%s: PATH %q, exit code %d, stderr %q, planted programs ran: %v", name, stdout, code, stderr, err == nil)
		}
	}
}

// only returns a directory for PATH with id and one program to switch users with.
func only(t *testing.T, with string) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} { // for users other than root, too
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
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
	case "su-exec", "gosu":
		// Debian has no su-exec: this takes the same arguments, USER[:GROUP] PROGRAM ...
		script := `#!/bin/sh
user=$1 home=$HOME
shift
case $user in
*:*) groups=--clear-groups uid=${user%:*} gid=${user#*:} ;;
*) groups=--init-groups uid=$(/usr/bin/id -u "$user") gid=$(/usr/bin/id -g "$user") ;;
esac
exec /usr/bin/setpriv --reuid "$uid" --regid "$gid" $groups "$@"
`
		if err := os.WriteFile(filepath.Join(dir, with), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	default:
		link(with, "/usr/sbin/"+with, "/sbin/"+with, "/usr/bin/"+with, "/bin/"+with)
	}
	return dir
}
