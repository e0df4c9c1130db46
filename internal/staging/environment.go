package staging

import (
	"regexp"
	"strings"
)

var envKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// reservedEnv are the prefixes of the variables that greenroom and Nomad set themselves. A
// caller's variable with such a name would be misleading or be overwritten.
var reservedEnv = []string{"GREENROOM_", "NOMAD_"}

// shellOwned are variables that some shell protects: an assignment is an error there, which
// would end a hook's script, or has no effect.
var shellOwned = map[string]bool{
	"OPTIND": true, "PPID": true, "UID": true, "EUID": true, "GROUPS": true,
	"LINENO": true, "RANDOM": true, "SECONDS": true, "SHELLOPTS": true,
	"BASHOPTS": true, "BASH_VERSINFO": true, "FUNCNAME": true, "DIRSTACK": true,
	"EPOCHSECONDS": true, "EPOCHREALTIME": true, "BASHPID": true,
	"SRANDOM": true, "BASH_ARGV0": true, "BASH_SUBSHELL": true,
	"BASH_COMMAND": true, "HISTCMD": true, "COMP_WORDBREAKS": true,
	"PWD": true, "OLDPWD": true, "_": true,
}

// ShellOwned reports whether some shell protects the variable, so that greenroom cannot set
// it for a hook.
func ShellOwned(name string) bool { return shellOwned[name] }

// environment checks the variables of a caller or an image. Every variable that passes can
// be set in a hook and in a task; otherwise launches would fail only after they have used
// up a session.
func (p *problems) environment(field string, env map[string]string) {
	for k, v := range env {
		at := field + "." + k
		if !envKey.MatchString(k) {
			p.add(at, "is not a name for an environment variable (letters, digits and underscores, not starting with a digit)")
			continue
		}
		if ShellOwned(k) {
			p.add(at, "is a variable that shells protect; use another name")
		}
		for _, prefix := range reservedEnv {
			if strings.HasPrefix(strings.ToUpper(k), prefix) {
				p.add(at, "begins with %s, which greenroom and Nomad keep for their own variables", prefix)
			}
		}
		p.text(at, v)
	}
}
