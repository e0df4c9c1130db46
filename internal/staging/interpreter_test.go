package staging

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestATokenIsNeverCode: a token is refused after every program that may take it for code,
// however it is told to. What is accepted is run with hostile names, and none of them runs.
func TestATokenIsNeverCode(t *testing.T) {
	refused := [][]string{
		{"bash", "-o", "pipefail", "-c", "{username}"},
		{"su", "-", "user", "-c", "{username}"},
		{"runuser", "-l", "user", "-c", "{username}"},
		{"script", "-c", "{username}", "/dev/null"},
		{"python3", "-W", "ignore", "-c", "{username}"},
		{"ssh", "host", "{username}"},
		{"/usr/bin/env", "-i", "A=1", "bash", "-c", "{username}"},
		{"nice", "-n", "5", "sh", "-c", "{username}"},
		{"sh", "-c", "{username}"},
		{"sh", "-c", "x", "{username}", "y"},
		{"sh", "-c", `"$@"`, "sh", "su", "-c", "{username}"},
		{"bash5.2", "--rcfile", "{username}"},
		{"timeout", "5", "busybox", "sh", "-c", "{username}"},
		{"xargs", "{username}"},
		{"find", "/", "-exec", "{username}", ";"},
		{"perl", "-Mx", "-e", "{username}"},
		{"node", "--eval", "{username}"},
		{"awk", "-v", "x={username}", "1"},
		{"git", "-c", "{username}"},
		{"sh", "-ec", "x", "sh", "{username}"},
		{"sh", "/opt/x", "{username}"},
		{"/bin/{username}"},
	}
	for _, cmd := range refused {
		if err := hookOf(cmd).Validate(); err == nil {
			t.Errorf("%q is accepted", cmd)
		}
	}
	show := filepath.Join(t.TempDir(), "show")
	accepted := [][]string{
		{"/usr/bin/printf", "%s\n", "{username}"},
		{"sh", "-c", `printf '%s\n' "$1"`, "sh", "{username}"},
		{"bash", "-c", `for a; do printf '%s\n' "$a"; done`, "bash", "{username}"},
		{"nice", "/usr/bin/printf", "%s\n", "{username}"},
	}
	for _, cmd := range accepted {
		if err := hookOf(cmd).Validate(); err != nil {
			t.Errorf("%q: %v", cmd, err)
			continue
		}
		for _, name := range []string{
			"x; touch " + show, "$(touch " + show + ")", "`touch " + show + "`", "-c", "--", "'\"; touch " + show + " #", "a\nb; touch " + show, "-e touch " + show,
		} {
			args := make([]string, len(cmd))
			for i, a := range cmd {
				args[i] = Substitute(a, map[Token]string{TokenUsername: name})
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
			cancel()
			if err != nil || strings.TrimSuffix(string(out), "\n") != name {
				t.Errorf("%q with the name %q printed %q, %v", cmd, name, out, err)
			}
			if found, _ := filepath.Glob(show); len(found) > 0 {
				t.Fatalf("%q ran the name %q", cmd, name)
			}
		}
	}
}

func hookOf(cmd []string) Image {
	return Image{Name: "i", Jobspec: "job {}", ExecConfig: ExecConfig{Go: &Hook{Cmd: cmd}}}
}

// TestNoLaunchSetsWhatProgramsActOn: hooks may run as root. The image's own may be set.
func TestNoLaunchSetsWhatProgramsActOn(t *testing.T) {
	for _, name := range []string{
		"LD_PRELOAD", "BASH_ENV", "PATH", "IFS", "ENV", "PYTHONPATH", "PERL5OPT", "NODE_OPTIONS", "GIT_SSH_COMMAND", "BASH_FUNC_x",
		"TAR_OPTIONS", "MAKEFLAGS", "MAKEFILES", "VIMINIT", "EXINIT", "ERL_AFLAGS", "DOTNET_STARTUP_HOOKS", "CORECLR_PROFILER_PATH_64",
		"COR_PROFILER", "JULIA_LOAD_PATH", "R_PROFILE", "TCLLIBPATH", "TCL_LIBRARY", "OPENSSL_ENGINES", "GDK_PIXBUF_MODULE_FILE", "GTK3_MODULES",
		"PSModulePath", "GEM_HOME", "BUNDLE_GEMFILE", "NIX_LD", "SHLIB_PATH", "EMACSLOADPATH", "CURL_HOME", "WGETRC", "GNUPGHOME", "_JAVA_OPTIONS",
		"JAVA_TOOL_OPTIONS", "CLASSPATH", "HOME", "SHELL", "PROMPT_COMMAND", "RES_OPTIONS", "OPENSSL_CONF", "QT_PLUGIN_PATH", "PHPRC",
		"RSYNC_RSH", "RSYNC_CONNECT_PROG", "RSH", "R_ENVIRON_USER", "VK_ICD_FILENAMES", "OCL_ICD_VENDORS", "DOTNET_ROOT", "CC", "SSL_CERT_FILE", "CURL_CA_BUNDLE",
	} {
		l := Launch{Image: "i", Zone: "z", User: User{ID: "u"}, Environment: map[string]string{name: "x"}}
		if l.CheckEnvironment(Settings{}) == nil {
			t.Errorf("a launch may set %s for hooks", name)
		}
		l.Environment, l.UserEnvironment = nil, map[string]string{name: "x"}
		if l.CheckEnvironment(Settings{}) == nil {
			t.Errorf("a user may set %s for a session", name)
		}
		i := hookOf([]string{"x"})
		i.ExecConfig.Go.Environment = map[string]string{name: "x"}
		if err := i.Validate(); err != nil {
			t.Errorf("an image may not set %s: %v", name, err)
		}
	}
	if err := (Launch{Image: "i", Zone: "z", User: User{ID: "u"}, UserEnvironment: map[string]string{"EDITOR": "vi", "LANG": "de_DE.UTF-8", "TZ": "UTC", "APP_ENV": "test", "COURSE_ID": "7", "THEME": "dark", "HTTP_PROXY": "x"}}).CheckEnvironment(Settings{}); err != nil {
		t.Error(err)
	}
}

// TestAGroupMayAllowWhatProgramsActOn, by name or by prefix, and nothing else.
func TestAGroupMayAllowWhatProgramsActOn(t *testing.T) {
	s := Resolve([]Group{{Name: "a", AllowedEnvironment: []string{"PYTHONPATH"}}, {Name: "b", Priority: 1, AllowedEnvironment: []string{"GIT_*", "TMPDIR"}}})
	for name, want := range map[string]bool{
		"PYTHONPATH": true, "GIT_SSH_COMMAND": true, "GIT_": true, "TMPDIR": true, "EDITOR": true,
		"PYTHONPATH2": false, "PYTHONHOME": false, "LD_PRELOAD": false, "pythonpath": false, "pythonic": true, "XDG_RUNTIME_DIR": false,
	} {
		for field, l := range map[string]Launch{"environment": {Environment: map[string]string{name: "x"}}, "user_environment": {UserEnvironment: map[string]string{name: "x"}}} {
			err := l.CheckEnvironment(s)
			if (err == nil) != want || err != nil && !strings.Contains(err.Error(), field+"."+name) {
				t.Errorf("%s in %s: %v", name, field, err)
			}
		}
	}
	// Nothing lets a launch set what greenroom, Nomad and shells keep.
	l := Launch{Image: "i", Zone: "z", User: User{ID: "u"}, Environment: map[string]string{"GREENROOM_USER_ID": "x", "NOMAD_TOKEN": "x", "UID": "0"}}
	var invalid *InvalidError
	if !errors.As(l.Validate(), &invalid) || len(invalid.Fields) != 3 {
		t.Errorf("%v", invalid)
	}
}

// TestWhatAGroupCannotAllow is refused, and so is what has no effect: it would be a mistake.
func TestWhatAGroupCannotAllow(t *testing.T) {
	for allowed, want := range map[string]string{
		"LD_PRELOAD": "", "LD_*": "", "NODE_*": "", "XDG_DATA_*": "", "PATH": "", "BASH_FUNC_*": "",
		"*": "must be the name", "": "must be the name", "LD*": "must be the name", "A B": "must be the name", "LD_*_X": "must be the name",
		"GREENROOM_*": "keeps for itself", "NOMAD_META_X": "keeps for itself", "greenroom_x": "keeps for itself", "UID": "keeps for itself",
		"EDITOR": "no effect", "FOO_*": "",
	} {
		err := Group{Name: "g", AllowedEnvironment: []string{allowed}}.Validate()
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "allowed_environment[0]")) {
			t.Errorf("%q: %v", allowed, err)
		}
	}
	if err := (Group{Name: "g", AllowedEnvironment: []string{"PATH", "PATH"}}).Validate(); err == nil || !strings.Contains(err.Error(), "allowed_environment[1]: is listed twice") {
		t.Errorf("%v", err)
	}
}

// TestNoURLRunsInTheBrowserThatOpensIt.
func TestNoURLRunsInTheBrowserThatOpensIt(t *testing.T) {
	for _, u := range []string{"javascript:alert(1)", "JavaScript:alert(1)", "file:///etc/passwd", "data:text/html,x", "vbscript:x", "blob:https://x/y", "view-source:https://x"} {
		if (Launch{Image: "i", Zone: "z", User: User{ID: "u"}, URL: u}).Validate() == nil {
			t.Errorf("a launch may have the url %s", u)
		}
		i := hookOf([]string{"x"})
		if i.ConnectURL = u; i.Validate() == nil {
			t.Errorf("an image may have the connect_url %s", u)
		}
	}
	i := hookOf([]string{"x"})
	if i.ConnectURL = "javascript://{address}/%0Aalert(1)"; i.Validate() == nil {
		t.Error("a javascript: URL with a host passes")
	}
	for _, u := range []string{"https://example.org/", "http://x", "rdp://x", "mailto:ann@example.org"} {
		if err := (Launch{Image: "i", Zone: "z", User: User{ID: "u"}, URL: u}).Validate(); err != nil {
			t.Error(err)
		}
	}
}
