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

// Input is the data of one run of a hook.
type Input struct {
	// Variables are added to the environment and override the hook's own.
	Variables map[string]string
	// Tokens are the values of the tokens in the hook's arguments and environment.
	Tokens map[staging.Token]string
	// Once runs the command at most once per session. A run that starts while the
	// command runs waits for it, and a later run returns the same outcome.
	Once bool
	// Start numbers the start of the session's main task, from 0. Once is once per start:
	// the task's directory, which holds the lock, outlives a restart. For a hook that runs for
	// something else than a start, such as an end, it numbers that.
	Start int
	// Again runs the assign hook once more, after a restart of the main task, with what it
	// was run with the first time: the session itself has kept that. If it has not, the
	// other fields count.
	Again bool
}

// Exit codes of the script.
const (
	// ExitSuccess means that the command ran and its exit code was 0. It is not 0
	// itself, because 0 proves nothing: Nomad's docker driver (1.10.5) reads the exit
	// code from Docker right after it has requested the start. If Docker has not started
	// the shell yet, it answers "not running, 0", and Nomad returns this 0. So the
	// script reports success with a code of its own.
	ExitSuccess = 86
	// ExitUnfinished means that a once-only hook was started, by this or an earlier run,
	// and has not ended within its deadline.
	ExitUnfinished = 88
	// exitOther replaces a command's own 86 or 88.
	exitOther = 87
	// ExitUser means that the command cannot run as the hook's user.
	ExitUser = 125
	// ExitWorkdir means that the working directory does not exist, or that the lock of a
	// once-only hook cannot be written. 127 is the shell's own code for a program that
	// does not exist.
	ExitWorkdir = 126
)

// successVariable is the shell variable that holds the success marker. It is never
// exported, so the command cannot read it.
const successVariable = "greenroom_success_marker"

// holdVariable is the shell variable that is set in an armed shell: after a success the script
// waits there for the end of its stdin before it exits. That a process in a container ends is
// work for all that runs it, at the very moment at which the launch records the success.
const holdVariable = "greenroom_hold"

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// reservedPrefix is the prefix of the script's own variables. No hook may set them.
const reservedPrefix = "greenroom_"

// Script returns the shell script that runs a hook. The same hook and input always
// result in the same bytes. The input's variables override the hook's environment.
//
// The whole script is one brace group. A shell reads a group to its end before it runs
// any of it, so a script that a broken connection cuts off is a syntax error instead of
// half a command. The command's stdin is /dev/null, so that it cannot read the script.
// The script's exit code is that of the command, but ExitSuccess for 0. If the shell has
// a success marker in successVariable, the script prints it when the command succeeds.
//
// The error is a *staging.InvalidError if a value contains a NUL byte, which no
// environment variable or argument can hold, or if a variable's name is reserved.
func Script(name staging.HookName, h staging.Hook, in Input) ([]byte, error) {
	h = substituted(h, in.Tokens)
	if err := validate(name, h, in.Variables); err != nil {
		return nil, err
	}
	env := make(map[string]string, len(h.Environment)+len(in.Variables))
	maps.Copy(env, in.Variables)
	for k, v := range h.Environment {
		// The image's variables go over the launch's, and not over greenroom's own.
		if _, given := env[k]; !given || !staging.ReservedVariable(k) {
			env[k] = v
		}
	}

	var b bytes.Buffer
	b.WriteString("{\n")
	workdir := ""
	if h.Workdir != "" {
		workdir = fmt.Sprintf("cd %s || exit %d\n", quote(directory(h.Workdir)), ExitWorkdir)
	}
	run := command(h.Cmd, env)
	if h.User != "" {
		run = commandAsUser(h.User, h.Cmd, env)
	}
	switch {
	case in.Again:
		run = keptOr(name, workdir+run)
	case name == staging.HookAssign:
		b.WriteString(keep(name, workdir+run) + workdir)
	default:
		b.WriteString(workdir)
	}
	if in.Once {
		b.WriteString(onlyOnce(name, in.Start, run, h.Deadline()))
	} else {
		b.WriteString(run + " </dev/null\ngreenroom_status=$?\n")
	}
	fmt.Fprintf(&b, `case $greenroom_status in
0) [ -z "$%[1]s" ] || echo "$%[1]s"; [ -z "$%[5]s" ] || read -r %[5]s; exit %[2]d ;;
%[2]d|%[3]d) exit %[4]d ;;
esac
exit $greenroom_status
}
`, successVariable, ExitSuccess, ExitUnfinished, exitOther, holdVariable)
	return b.Bytes(), nil
}

// command returns the shell text that runs a command with its environment in a subshell,
// so that the environment does not affect the script's own steps.
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

// substituted returns the hook with its tokens replaced by their values.
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

// quote returns s as one shell word. Within single quotes a shell knows no escape, so
// only the single quote itself needs one.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// directory returns dir so that cd takes it neither for an option nor for "-", the
// previous directory.
func directory(dir string) string {
	if strings.HasPrefix(dir, "-") {
		return "./" + dir
	}
	return dir
}

func validate(name staging.HookName, h staging.Hook, vars map[string]string) error {
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
			case staging.ShellOwned(k) || strings.HasPrefix(k, reservedPrefix):
				add("environment."+k, "is a variable that the shell reserves; use another name")
			}
			text("environment."+k, env[k])
		}
	}
	if len(e.Fields) == 0 {
		return nil
	}
	return e
}
