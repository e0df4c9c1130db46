package hook

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/greenroom/greenroom/internal/staging"
)

// Input is what a run of a hook is given beside the hook itself.
type Input struct {
	// Variables are added to the environment, and win over the hook's own.
	Variables map[string]string
	// Tokens are the values of the tokens in the hook's arguments and environment.
	Tokens map[staging.Token]string
	// Once: the command runs at most once in a session, whoever asks and however
	// often. Who asks while it runs waits for it; who asks later is told how it ended.
	Once bool
}

// Exit codes of the script.
const (
	// ExitSuccess says that the command ran and its exit code was 0. It is not
	// 0 itself, because 0 proves nothing: Nomad's docker driver (1.10.5) asks
	// Docker for the exit code right after it has asked for the start, and when
	// Docker has not started the shell yet it is told "not running, 0" and
	// passes that on. A success has to be something that only the script says.
	ExitSuccess = 86
	// ExitUnfinished says that a once-only hook has begun, now or before, and
	// has not ended in the time that it has.
	ExitUnfinished = 88
	// exitOther stands for a command's own 86 or 88.
	exitOther = 87
	// ExitUser says that the command cannot be run as the hook's user.
	ExitUser = 125
	// ExitWorkdir says that the working directory is not there, or that what
	// keeps a once-only hook from running twice cannot be written. 127 is the
	// shell's own code for a program that is not there.
	ExitWorkdir = 126
)

// farewellVariable is a variable of the shell's own, never exported.
const farewellVariable = "greenroom_farewell"

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// ownVariables begin with this; no hook may change them.
const ownVariables = "greenroom_"

// Script is what /bin/sh is fed to run a hook: the same hook and input always
// give the same bytes. The hook's own environment comes first, so that the
// input's variables win.
//
// The whole script is one brace group. A shell reads a group to its end before
// it runs any of it, so a script that is cut short by a broken connection is a
// syntax error instead of half a command. The command reads /dev/null, so that
// it can never swallow the script. The script's exit code is the command's, but
// ExitSuccess for 0; and if the shell has a farewell in a variable, it says
// that too when the command has succeeded.
//
// A value that no environment or argument can carry (a NUL byte), or a name
// that a shell keeps for itself, is a *staging.InvalidError.
func Script(name staging.HookName, h staging.Hook, in Input) ([]byte, error) {
	h = substituted(h, in.Tokens)
	if err := check(name, h, in.Variables); err != nil {
		return nil, err
	}
	env := make(map[string]string, len(h.Environment)+len(in.Variables))
	maps.Copy(env, h.Environment)
	maps.Copy(env, in.Variables)

	var b bytes.Buffer
	b.WriteString("{\n")
	if h.Workdir != "" {
		fmt.Fprintf(&b, "cd %s || exit %d\n", quote(directory(h.Workdir)), ExitWorkdir)
	}
	run := command(h.Cmd, env)
	if h.User != "" {
		run = commandAs(h.User, h.Cmd, env)
	}
	if in.Once {
		b.WriteString(onlyOnce(name, run, h.Deadline()))
	} else {
		b.WriteString(run + " </dev/null\ngreenroom_status=$?\n")
	}
	fmt.Fprintf(&b, `case $greenroom_status in
0) [ -z "$%[1]s" ] || echo "$%[1]s"; exit %[2]d ;;
%[2]d|%[3]d) exit %[4]d ;;
esac
exit $greenroom_status
}
`, farewellVariable, ExitSuccess, ExitUnfinished, exitOther)
	return b.Bytes(), nil
}

// command is the command and its environment in a shell of their own: the
// script's own steps never see that environment.
func command(cmd []string, env map[string]string) string {
	var b strings.Builder
	b.WriteString("(\n")
	for _, k := range slices.Sorted(maps.Keys(env)) {
		fmt.Fprintf(&b, "export %s=%s\n", k, quote(env[k]))
	}
	b.WriteString("exec")
	for _, arg := range cmd {
		b.WriteString(" " + quote(arg))
	}
	b.WriteString("\n)")
	return b.String()
}

// substituted is the hook with its tokens replaced.
func substituted(h staging.Hook, tokens map[staging.Token]string) staging.Hook {
	cmd := make([]string, len(h.Cmd))
	for i, a := range h.Cmd {
		cmd[i] = staging.Substitute(a, tokens)
	}
	env := make(map[string]string, len(h.Environment))
	for k, v := range h.Environment {
		env[k] = staging.Substitute(v, tokens)
	}
	h.Cmd, h.Environment = cmd, env
	return h
}

// quote makes one shell word of s, whatever it holds: within single quotes a
// shell knows no escape at all, so the one character to treat is the quote.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// directory keeps cd from taking a name for an option, or "-" for the last directory.
func directory(dir string) string {
	if strings.HasPrefix(dir, "-") {
		return "./" + dir
	}
	return dir
}

func check(name staging.HookName, h staging.Hook, vars map[string]string) error {
	e := &staging.InvalidError{What: string(name) + " hook"}
	add := func(field, format string, args ...any) {
		e.Fields = append(e.Fields, staging.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	text := func(field, value string) {
		if strings.ContainsRune(value, 0) {
			add(field, "must not hold a NUL byte: no environment variable or argument can carry one")
		}
	}
	if len(h.Cmd) == 0 || h.Cmd[0] == "" {
		add("cmd", "must name a program")
	}
	for i, arg := range h.Cmd {
		text(fmt.Sprintf("cmd[%d]", i), arg)
	}
	text("workdir", h.Workdir)
	text("user", h.User)
	for _, env := range []map[string]string{h.Environment, vars} {
		for _, k := range slices.Sorted(maps.Keys(env)) {
			switch {
			case !variableName.MatchString(k):
				add("environment."+k, "is not a name for an environment variable")
			case staging.ShellOwned(k) || strings.HasPrefix(k, ownVariables):
				add("environment."+k, "is a variable that shells keep for themselves")
			}
			text("environment."+k, env[k])
		}
	}
	if len(e.Fields) == 0 {
		return nil
	}
	return e
}
