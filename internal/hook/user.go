package hook

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// asUser defines greenroom_as USER TEXT, which goes on as that user with the
// text as the shell's. It uses the first program there that can switch, as none
// of them is everywhere; busybox's setpriv cannot. A user may be a name or a
// number, also a number that no name has.
//
// All of it runs as root, so nothing of the hook's environment, which may be
// what somebody asked for in a launch, is there yet: a PATH or an LD_PRELOAD in
// it would be obeyed.
const asUser = `greenroom_as() {
greenroom_refuse() { echo "the hook's user \"$greenroom_asked\": $1" >&2; exit %[1]d; }
greenroom_asked=$1 greenroom_name= greenroom_uid= greenroom_gid= greenroom_home=
greenroom_me=$(id -u 2>/dev/null) || greenroom_refuse "the container has no id program to tell users by; install it (coreutils or busybox)"
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
greenroom_refuse "the container has no program to switch with; install runuser, su-exec, gosu, setpriv (util-linux) or su"
}
`

// commandAs is the command and its environment as another user. The values
// travel in variables of our own names, and the text that the other user's shell
// reads names only these: no value is in an argument that others could see, or
// is ever read as shell.
func commandAs(user string, cmd []string, env map[string]string) string {
	var values, text, own strings.Builder
	count := 0
	carry := func(value string) string {
		variable := fmt.Sprintf("%sv%d", ownVariables, count)
		count++
		fmt.Fprintf(&values, "export %s=%s\n", variable, quote(value))
		own.WriteString(" " + variable)
		return `"$` + variable + `"`
	}
	// What the switch has left in place goes first: HOME and its like may be the
	// hook's to set.
	for _, k := range slices.Sorted(maps.Keys(env)) {
		fmt.Fprintf(&text, "export %s=%s\n", k, carry(env[k]))
	}
	text.WriteString("set --")
	for _, arg := range cmd {
		text.WriteString(" " + carry(arg))
	}
	fmt.Fprintf(&text, "\nunset%s\nexec \"$@\"", own.String())
	return "(\n" + fmt.Sprintf(asUser, ExitUser) + values.String() + "greenroom_as " + quote(user) + " " + quote(text.String()) + "\n)"
}
