package staging

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestATokenIsNeverCode: a token is refused after every program that may take it for code,
// whatever its options, and where it is the program itself.
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
		{"sg", "group", "-c", "{username}"},
		{"newgrp", "-c", "{username}"},
		{"capsh", "--", "-c", "{username}"},
		{"bash-static", "-c", "{username}"},
		{"zsh5-static", "-c", "{username}"},
		{"bash.real", "-c", "{username}"},
		{"python3-dbg", "-c", "{username}"},
		{"python3.12d", "/opt/x.py", "{username}"},
		{"lksh", "-c", "{username}"},
		{"git-shell", "-c", "{username}"},
		{"nu", "-c", "{username}"},
		{"xonsh", "-c", "{username}"},
		{"rc", "-c", "{username}"},
		{"pdsh", "-w", "h", "{username}"},
		{"sudo-rs", "{username}"},
		{"gnuplot", "-e", "{username}"},
		// The program that a wrapper runs.
		{"nice", "{username}"},
		{"nice", "-n", "5", "{username}"},
		{"nice", "--adjustment=5", "{username}"},
		{"timeout", "5", "{username}"},
		{"timeout", "-s", "KILL", "5", "{username}"},
		{"timeout", "-vk", "5", "10", "{username}"},
		{"timeout", "-k", "{username}", "5", "/bin/true"},
		{"setsid", "{username}"},
		{"setsid", "-w", "--", "{username}"},
		{"/usr/bin/nohup", "/opt/{username}"},
		{"nice", "setsid", "{username}", "x"},
		{"nice", "/usr/bin/timeout", "5", "{username}"},
		{"ionice", "-c", "idle", "{username}"},
		{"stdbuf", "-o", "L", "{username}"},
		{"taskset", "0x3", "{username}"},
		{"setarch", "x86_64", "{username}"},
		{"setarch", "-R", "{username}"},
		{"linux64", "{username}"},
		{"chrt", "-f", "10", "{username}"},
		{"numactl", "--file", "/proc/x", "{username}"},
		{"env", "{username}"},
		{"unshare", "-r", "{username}"},
		{"nsenter", "-t", "1", "-m", "{username}"},
		{"chroot", "/srv", "{username}"},
		{"sh", "-c", `"$@"`, "sh", "nice", "{username}"},
		// Options that take code, of any program.
		{"/opt/unheard-of", "-c", "{username}"},
		{"/opt/unheard-of", "-c", "open {url}"},
		{"/opt/unheard-of", "-lc", "{username}"},
		{"/opt/unheard-of", "-c", "--", "{username}"},
		{"/opt/unheard-of", "-c", "-o", "pipefail", "{username}"},
		{"/opt/unheard-of", "-e", "{username}"},
		{"/opt/unheard-of", "-e{username}"},
		{"/opt/unheard-of", "-eprint({username})"},
		{"/opt/unheard-of", "-c={username}"},
		{"/opt/unheard-of", "--eval", "{username}"},
		{"/opt/unheard-of", "--eval=open({username})"},
		{"/opt/unheard-of", "--command", "{username}"},
		{"/opt/unheard-of", "-Command={username}"},
		{"/opt/unheard-of", "-exec", "{username}"},
		{"sh", "-c", `"$@"`, "sh", "/opt/unheard-of", "-c", "{username}"},
	}
	for _, cmd := range refused {
		if err := hookOf(cmd).Validate(); err == nil {
			t.Errorf("%q is accepted", cmd)
		}
	}
	for _, cmd := range [][]string{
		{"/usr/bin/welcome", "--user", "{username}", "--url={url}"},
		{"/usr/bin/welcome", "-c", "/etc/welcome.conf", "--user", "{username}"},
		{"/usr/bin/welcome", "-config={username}", "-name", "{username}", "-profile", "{url}"},
		{"/usr/bin/welcome", "--name", "node-{username}"},
		{"setsid", "-f", "xdg-open", "{url}"},
		{"nohup", "xdg-open", "{url}"},
		{"timeout", "5", "xdg-open", "{url}"},
		{"timeout", "-k", "5", "10", "xdg-open", "{url}"},
		{"nice", "-n", "5", "/usr/bin/xdg-open", "{url}"},
		{"nice", "timeout", "5", "/usr/bin/xdg-open", "{url}"},
		{"sh", "-c", `open "$1"`, "open", "{url}"},
		{"sh", "-c", `nice -n 5 open "$1"`, "open", "{url}"},
	} {
		if err := hookOf(cmd).Validate(); err != nil {
			t.Errorf("%q: %v", cmd, err)
		}
	}
}

// documentedCommands returns the commands of hooks in a text: cmd = [...], and in prose ["sh", ...].
func documentedCommands(t *testing.T, text string) [][]string {
	t.Helper()
	var found [][]string
	for _, m := range regexp.MustCompile("(?m)\\bcmd\\s*=\\s*(\\[\".*\"\\])|`(\\[\".*?\"\\])`").FindAllStringSubmatch(text, -1) {
		var cmd []string
		if err := json.Unmarshal([]byte(m[1]+m[2]), &cmd); err != nil {
			t.Fatalf("%s: %v", m[0], err)
		}
		found = append(found, cmd)
	}
	return found
}

// TestTokensOfAcceptedCommandsRoundTrip runs the accepted forms, those of the jobspecs and of the
// documents, too, with hostile names, in each shell of this machine: each name arrives as it is, and
// none runs. The programs that they name are replaced by one that records its arguments.
func TestTokensOfAcceptedCommandsRoundTrip(t *testing.T) {
	forms := [][]string{
		{"/usr/bin/printf", "%s\n", "{username}"},
		{"sh", "-c", `printf '%s\n' "$1"`, "sh", "{username}"},
		{"bash", "-c", `for a; do printf '%s\n' "$a"; done`, "bash", "{username}"},
		{"nice", "/usr/bin/printf", "%s\n", "{username}"},
		{"timeout", "5", "printf", "%s\n", "{username}"},
		{"nice", "-n", "1", "timeout", "-k", "5", "10", "printf", "%s\n", "{username}"},
		{"setsid", "-w", "printf", "%s\n", "{username}"},
		{"/opt/welcome", "-c", "/etc/welcome.conf", "--url={url}", "--user", "{username}"},
		{"sh", "-c", `open "$1"`, "open", "{url}"},
	}
	files, err := filepath.Glob("../../jobspecs/*.hcl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no jobspecs: %v", err)
	}
	documented := 0
	for _, f := range append(files, "../../jobspecs/README.md", "../../README.md") {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		commands := documentedCommands(t, string(text))
		forms, documented = append(forms, commands...), documented+len(commands)
	}
	if documented < 4 {
		t.Fatalf("the documents have %d commands of hooks", documented)
	}
	var here []string
	for _, sh := range []string{"sh", "dash", "bash", "zsh", "ksh"} {
		if _, err := exec.LookPath(sh); err == nil {
			here = append(here, sh)
		}
	}
	for _, form := range forms {
		if err := hookOf(form).Validate(); err != nil {
			t.Errorf("%q: %v", form, err)
			continue
		}
		if !shells[filepath.Base(form[0])] {
			roundTrip(t, form)
			continue
		}
		for _, sh := range here {
			roundTrip(t, append([]string{sh}, form[1:]...))
		}
	}
}

// roundTrip runs a form with hostile names.
func roundTrip(t *testing.T, form []string) {
	t.Helper()
	dir := t.TempDir()
	ran := filepath.Join(dir, "ran")
	for _, name := range []string{
		"x; touch " + ran, "$(touch " + ran + ")", "`touch " + ran + "`", "-c", "--", "'\"; touch " + ran + " #", "a\nb; touch " + ran,
		"-e touch " + ran, "touch " + ran, "${IFS}&& touch " + ran, "{url}", "| touch " + ran, "<(touch " + ran + ")",
	} {
		bin, www := filepath.Join(dir, "bin"), filepath.Join(dir, "www")
		args := make([]string, len(form))
		for i, a := range form {
			args[i] = Substitute(a, map[Token]string{TokenUsername: name, TokenURL: name})
		}
		for _, d := range []string{bin, www} {
			if err := os.MkdirAll(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for _, program := range []string{"open", "welcome"} {
			if err := os.WriteFile(filepath.Join(bin, program), []byte("#!/bin/sh\nprintf '%s\\n' \"$@\"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			if filepath.Base(args[0]) == program {
				args[0] = filepath.Join(bin, program)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "NOMAD_TASK_DIR="+dir, "GREETING=hello", "GREENROOM_USER_NAME="+name, "GREENROOM_URL="+name)
		out, err := cmd.CombinedOutput()
		cancel()
		page, _ := os.ReadFile(filepath.Join(www, "index.html"))
		_ = os.Remove(filepath.Join(www, "index.html"))
		if got := string(out) + string(page); err != nil || !strings.HasSuffix(got, name+"\n") {
			t.Errorf("%q with the name %q printed %q, %v", form, name, got, err)
		}
		if _, err := os.Stat(ran); err == nil {
			t.Fatalf("%q ran the name %q", form, name)
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
		"EXTRA_LIBS", "CVS_SSH", "NODE_EXTRA_CA_CERTS", "RUSTC_WRAPPER", "PROMPT_CMD", "EDITOR", "SYSTEMD_EDITOR", "TERMINFO", "TZDIR", "TERMCAP", "VISUAL", "FCEDIT",
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
	if err := (Launch{Image: "i", Zone: "z", User: User{ID: "u"}, UserEnvironment: map[string]string{"LANG": "de_DE.UTF-8", "TZ": "UTC", "APP_ENV": "test", "COURSE_ID": "7", "THEME": "dark", "HTTP_PROXY": "x"}}).CheckEnvironment(Settings{}); err != nil {
		t.Error(err)
	}
}

// TestAGroupMayAllowWhatProgramsActOn, by name or by prefix, and nothing else.
func TestAGroupMayAllowWhatProgramsActOn(t *testing.T) {
	s := Resolve([]Group{{Name: "a", AllowedEnvironment: []string{"PYTHONPATH"}}, {Name: "b", Priority: 1, AllowedEnvironment: []string{"GIT_*", "TMPDIR"}}})
	for name, want := range map[string]bool{
		"PYTHONPATH": true, "GIT_SSH_COMMAND": true, "GIT_": true, "TMPDIR": true, "COURSE_ID": true, "EDITOR": false,
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
		"COURSE_ID": "no effect", "EDITOR": "", "FOO_*": "",
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
