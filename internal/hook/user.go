package hook

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// switchUserScript defines the shell function greenroom_as USER TEXT. It switches to the
// user and runs the text in a shell. It uses the first program that it finds and that can
// switch users, because none is in every image; busybox's setpriv cannot. The user is a
// name or a number, also a number without a name.
//
// All of this runs as root. So the hook's environment, which a launch may set, is not
// exported yet: root must not use its PATH or LD_PRELOAD.
const switchUserScript = `greenroom_as() {
greenroom_refuse() { echo "the hook's user \"$greenroom_asked\": $1" >&2; exit %[1]d; }
greenroom_asked=$1 greenroom_name= greenroom_uid= greenroom_gid= greenroom_home=
greenroom_me=$(id -u 2>/dev/null) || greenroom_refuse "the container has no id program, which is needed to look up users; install it (coreutils or busybox)"
if [ -r /etc/passwd ]; then
while IFS=: read -r greenroom_n greenroom_x greenroom_u greenroom_g greenroom_x greenroom_h greenroom_x; do
if [ "$greenroom_n" = "$1" ] || [ "$greenroom_u" = "$1" ]; then
greenroom_name=$greenroom_n greenroom_uid=$greenroom_u greenroom_gid=$greenroom_g greenroom_home=$greenroom_h
break
fi
done </etc/passwd
fi
if [ -z "$greenroom_uid" ] && greenroom_uid=$(id -u "$1" 2>/dev/null); then
greenroom_name=$(id -nu "$1") greenroom_gid=$(id -g "$1")
fi
if [ -z "$greenroom_uid" ]; then
case $1 in
*[!0-9]*) greenroom_refuse "is not a user of the container" ;;
esac
greenroom_uid=$1 greenroom_gid=$1
fi
if [ "$greenroom_me" = "$greenroom_uid" ]; then eval "$2"; fi
[ "$greenroom_me" = 0 ] || greenroom_refuse "the task does not run as root, so it cannot switch to another user"
[ -z "$greenroom_home" ] || export HOME="$greenroom_home"
[ -z "$greenroom_name" ] || export USER="$greenroom_name" LOGNAME="$greenroom_name"
if [ -n "$greenroom_name" ] && command -v runuser >/dev/null; then exec runuser -u "$greenroom_name" -- /bin/sh -c "$2"; fi
for greenroom_x in su-exec gosu; do
if command -v $greenroom_x >/dev/null; then exec $greenroom_x "${greenroom_name:-$greenroom_uid:$greenroom_gid}" /bin/sh -c "$2"; fi
done
case $(setpriv --help 2>&1) in
*--reuid*)
greenroom_x=--clear-groups
[ -z "$greenroom_name" ] || greenroom_x=--init-groups
exec setpriv --reuid "$greenroom_uid" --regid "$greenroom_gid" $greenroom_x /bin/sh -c "$2" ;;
esac
if [ -n "$greenroom_name" ] && command -v su >/dev/null; then exec su -s /bin/sh -c "$2" -- "$greenroom_name"; fi
greenroom_refuse "the container has no program to switch users with; install runuser, su-exec, gosu, setpriv (util-linux) or su"
}
`

// commandAsUser returns the shell text that runs a command with its environment as
// another user. It passes the values in variables with names of our own, and the other
// user's shell reads a text with only these names. So no value is in an argument, which
// others could see, and no value is parsed as shell.
func commandAsUser(user string, cmd []string, env map[string]string) string {
	var values, text, unset strings.Builder
	count := 0
	pass := func(value string) string {
		variable := fmt.Sprintf("%sv%d", reservedPrefix, count)
		count++
		fmt.Fprintf(&values, "export %s=%s\n", variable, quote(value))
		unset.WriteString(" " + variable)
		return `"$` + variable + `"`
	}
	// These exports run after the switch, so the hook may set HOME and USER itself.
	for _, k := range slices.Sorted(maps.Keys(env)) {
		fmt.Fprintf(&text, "export %s=%s\n", k, pass(env[k]))
	}
	text.WriteString("set --")
	for _, arg := range cmd {
		text.WriteString(" " + pass(arg))
	}
	fmt.Fprintf(&text, "\nunset%s\nexec \"$@\"", unset.String())
	return "(\n" + fmt.Sprintf(switchUserScript, ExitUser) + values.String() + "greenroom_as " + quote(user) + " " + quote(text.String()) + "\n)"
}
