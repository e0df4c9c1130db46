package hook

import (
	"fmt"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// onceScript runs the command in the first run and lets every run wait for its outcome.
// The lock is a directory in the task's directory: mkdir is atomic, and the task's
// directory exists as long as the session. Nothing else has to be stored.
//
// The command runs in the background. So it ends and writes its exit code even if the
// connection of its run breaks, and its stderr can be reported at the deadline. Its
// stderr is a file that only the task's disk bounds, so a process that a hook leaves
// running should redirect its output.
const onceScript = `greenroom_once="$NOMAD_TASK_DIR/.greenroom-%[1]s"
if [ -n "$NOMAD_TASK_DIR" ] && mkdir "$greenroom_once" 2>/dev/null; then
{
%[2]s 2>"$greenroom_once/stderr"
echo $? >"$greenroom_once/status.new" && mv "$greenroom_once/status.new" "$greenroom_once/status"
} </dev/null &
elif [ -z "$NOMAD_TASK_DIR" ] || [ ! -d "$greenroom_once" ]; then
echo "the task's directory (NOMAD_TASK_DIR, \"$NOMAD_TASK_DIR\") is not there or not writable, so nothing would prevent the hook from running twice" >&2
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

// onlyOnce returns the shell text that runs a command at most once in a start of a session.
// The lock of the first start has no number.
func onlyOnce(name staging.HookName, start int, run string, deadline time.Duration) string {
	lock := string(name)
	if start > 0 {
		lock = fmt.Sprintf("%s-%d", name, start)
	}
	return fmt.Sprintf(onceScript, lock, run, ExitWorkdir, deadline.Milliseconds()/100, TailBytes, ExitUnfinished)
}

// onceGracePeriod returns how much longer than the hook's deadline a run waits for the
// script of a once-only hook. The script keeps the deadline itself by counting sleeps,
// which takes longer on a busy machine, and reports stderr after it.
func onceGracePeriod(deadline time.Duration) time.Duration { return time.Second + deadline/8 }
