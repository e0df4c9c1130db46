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

// keep returns the shell text that keeps run, which is a shell text, for keptOr. A session
// in which it cannot be kept is served all the same.
//
// The file is a brace group, like a script: one that is cut off is a syntax error.
func keep(name staging.HookName, run string) string {
	return fmt.Sprintf("[ -z \"$NOMAD_SECRETS_DIR\" ] || (umask 077; printf '%%s' %s >"+keptFile+") 2>/dev/null\n", quote("{\n"+run+"\n}\n"), name)
}

// keptOr returns the shell text that runs what was kept, or otherwise if nothing was. It is
// a subshell, so that an exit in it ends only it.
func keptOr(name staging.HookName, otherwise string) string {
	file := fmt.Sprintf(keptFile, name)
	return fmt.Sprintf("(\nif [ -n \"$NOMAD_SECRETS_DIR\" ] && [ -r %[1]s ]; then . %[1]s; else\n%[2]s\nfi\n)", file, otherwise)
}
