package staging

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var envKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// reservedEnv are the prefixes of the variables that greenroom and Nomad set themselves. A
// caller's variable with such a name would be misleading or be overwritten.
var reservedEnv = []string{"GREENROOM_", "NOMAD_"}

// ReservedVariable reports whether a variable's name is kept for greenroom and Nomad.
func ReservedVariable(name string) bool {
	for _, prefix := range reservedEnv {
		if strings.HasPrefix(strings.ToUpper(name), prefix) {
			return true
		}
	}
	return false
}

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

// interpreted are variables on which loaders, shells, C libraries and interpreters act, and whose
// names interpretedEndings do not tell: whoever sets one for a program decides what it runs. Hooks
// may run as root.
var interpreted = map[string]bool{
	"IFS": true, "ENV": true, "BASH_ENV": true, "PS4": true, "GLOBIGNORE": true, "ZDOTDIR": true, "TMPDIR": true,
	"HOSTALIASES": true, "LESSOPEN": true, "LESSCLOSE": true, "NIX_LD": true, "PHP_INI_SCAN_DIR": true,
	"MAKEFILES": true, "LV2_DIRS": true,
	"CC": true, "CXX": true, "LOCALDOMAIN": true,
	"TZDIR": true, "TERMCAP": true, "VISUAL": true, "FCEDIT": true,
}

// interpretedPrefixes are the beginnings of further ones.
var interpretedPrefixes = []string{
	"LD_", "DYLD_", "GLIBC_", "MALLOC_", "BASH_FUNC_", "PYTHON", "PERL", "RUBY", "LUA_", "GIT_", "SSH_", "SUDO_", "XDG_",
}

// interpretedEndings are how programs name the variables that say what they load, read or run: a
// part of a name, between underscores, ends with one of them, as in MAKEFLAGS, TAR_OPTIONS,
// DOTNET_STARTUP_HOOKS and GDK_PIXBUF_MODULE_FILE. There are too many programs to list.
var interpretedEndings = []string{
	"PATH", "FLAGS", "OPT", "OPTS", "OPTIONS", "ARGS", "COMMAND", "PRELOAD", "HOOK", "HOOKS", "STARTUP", "INIT", "PROFILE", "PROFILER",
	"RC", "CONF", "CONFIG", "HOME", "SHELL", "PAGER", "ASKPASS", "LOADER", "INTERPRETER",
	"LIB", "LIBRARY", "MODULE", "MODULES", "PLUGIN", "PLUGINS", "ENGINES",
	"RSH", "PROG", "ENVIRON", "VENDORS", "FILENAMES", "ROOT", "TAPE", "CERT", "BUNDLE",
	"LIBS", "SSH", "CERTS", "WRAPPER", "CMD", "EDITOR", "TERMINFO",
}

// Interpreted reports whether programs act on a variable, by its name, so that a launch may set it
// only if a group of the user allows it, see Group.AllowedEnvironment.
func Interpreted(name string) bool {
	for _, prefix := range interpretedPrefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	for part := range strings.SplitSeq(strings.ToUpper(name), "_") {
		for _, ending := range interpretedEndings {
			if strings.HasSuffix(part, ending) {
				return true
			}
		}
	}
	return interpreted[name]
}

// allows reports whether a list of allowed variables has a name, or PREFIX_* for it.
func allows(list []string, name string) bool {
	return slices.ContainsFunc(list, func(allowed string) bool {
		prefix, all := strings.CutSuffix(allowed, "*")
		return allowed == name || all && strings.HasPrefix(name, prefix)
	})
}

// allowedEnvironment checks a group's list of variables.
func (p *problems) allowedEnvironment(field string, list []string) {
	for i, allowed := range list {
		at := fmt.Sprintf("%s[%d]", field, i)
		name, all := strings.CutSuffix(allowed, "*")
		switch {
		case !envKey.MatchString(name) || all && !strings.HasSuffix(name, "_"):
			p.add(at, "must be the name of an environment variable, or PREFIX_* for all that begin so, is %q", allowed)
		case ReservedVariable(name) || ShellOwned(name):
			p.add(at, "is a variable that greenroom, Nomad or a shell keeps for itself: no launch may set it")
		case !all && !Interpreted(name):
			p.add(at, "has no effect: any launch may set it")
		case slices.Contains(list[:i], allowed):
			p.add(at, "is listed twice")
		}
	}
}

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
