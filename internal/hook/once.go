package hook

import (
	"fmt"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// once runs the command for the first who asks, and has all wait alike for how
// it ended. mkdir is atomic, and the task's directory lives as long as the
// session: nothing else need be kept anywhere.
//
// The command runs in the background, so that it ends, and leaves its word,
// also when the connection of the one who asked has broken; and so that what it
// wrote to stderr is told when its time is up. Its stderr is a file that only the
// task's disk bounds: what a hook leaves running should have an output of its own.
const once = `greenroom_once="$NOMAD_TASK_DIR/.greenroom-%[1]s"
if [ -n "$NOMAD_TASK_DIR" ] && mkdir "$greenroom_once" 2>/dev/null; then
{
%[2]s 2>"$greenroom_once/stderr"
echo $? >"$greenroom_once/status.new" && mv "$greenroom_once/status.new" "$greenroom_once/status"
} </dev/null &
elif [ -z "$NOMAD_TASK_DIR" ] || [ ! -d "$greenroom_once" ]; then
echo "the task's directory (NOMAD_TASK_DIR, \"$NOMAD_TASK_DIR\") is not there or not writable, so the hook could not be kept from running twice" >&2
exit %[3]d
fi
greenroom_tries=%[4]d
greenroom_status=
until [ -f "$greenroom_once/status" ] && read -r greenroom_status <"$greenroom_once/status"; do
[ $greenroom_tries -gt 0 ] || break
if sleep 0.1 2>/dev/null; then greenroom_tries=$((greenroom_tries-1)); else sleep 1; greenroom_tries=$((greenroom_tries-10)); fi
done
[ ! -f "$greenroom_once/stderr" ] || tail -c %[5]d "$greenroom_once/stderr" >&2
[ -n "$greenroom_status" ] || exit %[6]d
`

// onlyOnce wraps a command so that it runs at most once in a session.
func onlyOnce(name staging.HookName, run string, deadline time.Duration) string {
	return fmt.Sprintf(once, name, run, ExitWorkdir, deadline.Milliseconds()/100, TailBytes, ExitUnfinished)
}

// onceGrace is how much longer than the hook's deadline a once-only hook's
// script is heard: it keeps the deadline itself, by counting, which a busy
// machine does slowly, and has something to say at the end.
func onceGrace(deadline time.Duration) time.Duration { return time.Second + deadline/8 }
