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
	// exitOther stands for a command's own 86.
	exitOther = 87
	// ExitUnfinished says that a run of a once-only hook that began before has
	// not ended in the time that the hook has.
	ExitUnfinished = 124
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

// asUser defines what runs a command as another user, by the first program
// there that can: none of them is everywhere. Arguments stay arguments. util-linux's su and
// busybox's both take those after "--" for the user and the shell's arguments.
const asUser = `greenroom_as() {
if ! greenroom_uid=$(id -u "$1" 2>/dev/null); then echo "the hook's user $1 is not a user of the container" >&2; exit %[1]d; fi
if [ "$(id -u)" = "$greenroom_uid" ]; then shift; exec "$@"; fi
if [ "$(id -u)" != 0 ]; then echo "the hook's user $1: the task does not run as root, so it cannot switch to another user" >&2; exit %[1]d; fi
if command -v runuser >/dev/null; then greenroom_user=$1; shift; exec runuser -u "$greenroom_user" -- "$@"; fi
for greenroom_with in su-exec gosu; do
if command -v $greenroom_with >/dev/null; then exec $greenroom_with "$@"; fi
done
if command -v su >/dev/null; then greenroom_user=$1; shift; exec su -s /bin/sh -c 'exec "$0" "$@"' -- "$greenroom_user" "$@"; fi
echo "the hook's user $1: the container has no program to switch with; install runuser, su-exec, gosu or su" >&2; exit %[1]d
}
`

// once runs the command for the first who asks, and has the others wait for how
// it ended. mkdir is atomic, and the task's directory lives as long as the session:
// nothing else need be kept anywhere.
const once = `greenroom_once="$NOMAD_TASK_DIR/.greenroom-%[1]s"
if [ -n "$NOMAD_TASK_DIR" ] && mkdir "$greenroom_once" 2>/dev/null; then
%[2]s </dev/null 2>"$greenroom_once/stderr"
greenroom_status=$?
echo $greenroom_status >"$greenroom_once/status.new" && mv "$greenroom_once/status.new" "$greenroom_once/status"
elif [ -n "$NOMAD_TASK_DIR" ] && [ -d "$greenroom_once" ]; then
greenroom_tries=%[3]d
while [ ! -f "$greenroom_once/status" ]; do
if [ $greenroom_tries -le 0 ]; then echo "the run of this hook that began before has not ended" >&2; exit %[4]d; fi
if sleep 0.1 2>/dev/null; then greenroom_tries=$((greenroom_tries-1)); else sleep 1; greenroom_tries=$((greenroom_tries-10)); fi
done
read greenroom_status <"$greenroom_once/status"
else
echo "the task's directory (NOMAD_TASK_DIR) is not there or not writable, so the hook could not be kept from running twice" >&2; exit %[5]d
fi
tail -c %[6]d "$greenroom_once/stderr" >&2
`

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
	if h.User != "" {
		fmt.Fprintf(&b, asUser, ExitUser)
	}
	if h.Workdir != "" {
		// Before the exports: a CDPATH among them must not divert it.
		fmt.Fprintf(&b, "cd %s || exit %d\n", quote(directory(h.Workdir)), ExitWorkdir)
	}
	for _, k := range slices.Sorted(maps.Keys(env)) {
		fmt.Fprintf(&b, "export %s=%s\n", k, quote(env[k]))
	}
	if in.Once {
		fmt.Fprintf(&b, once, name, command(h), int(h.Deadline().Seconds()*10), ExitUnfinished, ExitWorkdir, TailBytes)
	} else {
		fmt.Fprintf(&b, "%s </dev/null\ngreenroom_status=$?\n", command(h))
	}
	fmt.Fprintf(&b, `case $greenroom_status in
0) [ -z "$%[1]s" ] || echo "$%[1]s"; exit %[2]d ;;
%[2]d) exit %[3]d ;;
esac
exit $greenroom_status
}
`, farewellVariable, ExitSuccess, exitOther)
	return b.Bytes(), nil
}

// command is the hook's command in a shell of its own.
func command(h staging.Hook) string {
	var b strings.Builder
	b.WriteString("( exec")
	if h.User != "" {
		b.Reset()
		b.WriteString("( greenroom_as " + quote(h.User))
	}
	for _, arg := range h.Cmd {
		b.WriteString(" " + quote(arg))
	}
	b.WriteString(" )")
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
