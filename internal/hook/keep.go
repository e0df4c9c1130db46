package hook

import (
	"fmt"

	"github.com/greenroom/greenroom/internal/staging"
)

// The assign hook runs again when its session's main task was restarted. What it was run
// with, the launch's variables among them, may be secret and is stored nowhere by greenroom.
// So the session keeps it itself: a file in the task's secrets directory holds the hook's
// command and environment. That directory is in memory, Nomad's API does not serve it, it
// outlives a restart in place, and it ends with the allocation. Only the user that the
// task's exec runs as can read the file.

// keptFile is the file, for a hook's name, as a shell word.
const keptFile = `"$NOMAD_SECRETS_DIR/.greenroom-%s"`

// prepareKeep returns the shell text, of one line, that creates the file, empty, for keep. A shell
// runs it when it is opened. Only a subshell can have a umask of its own, and to start one costs
// time that a launch would wait for.
func prepareKeep(name staging.HookName) string {
	return fmt.Sprintf("[ -z \"$NOMAD_SECRETS_DIR\" ] || (umask 077; : >>"+keptFile+") 2>/dev/null", name)
}

// keep returns the shell text that keeps run, which is a shell text, for keptOr. A session
// in which it cannot be kept is served all the same.
//
// The file is a brace group, like a script: one that is cut off is a syntax error.
func keep(name staging.HookName, run string) string {
	return fmt.Sprintf(`greenroom_kept=%[2]s
if [ -z "$NOMAD_SECRETS_DIR" ]; then :
elif [ -f %[1]s ]; then printf '%%s' "$greenroom_kept" >%[1]s
else (umask 077; printf '%%s' "$greenroom_kept" >%[1]s)
fi 2>/dev/null
`, fmt.Sprintf(keptFile, name), quote("{\n"+run+"\n}\n"))
}

// keptOr returns the shell text that runs what was kept, or otherwise if nothing was: an empty
// file is one that was only prepared. It is a subshell, so that an exit in it ends only it.
func keptOr(name staging.HookName, otherwise string) string {
	file := fmt.Sprintf(keptFile, name)
	return fmt.Sprintf("(\nif [ -n \"$NOMAD_SECRETS_DIR\" ] && [ -s %[1]s ] && [ -r %[1]s ]; then . %[1]s; else\n%[2]s\nfi\n)", file, otherwise)
}
