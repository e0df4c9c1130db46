package staging

import (
	"fmt"
	"path"
	"strings"
	"time"
)

// HookName names one of an image's hooks.
type HookName string

// The hooks.
const (
	HookFirstLaunch HookName = "first_launch"
	HookAssign      HookName = "assign"
	HookGo          HookName = "go"
)

// ExecConfig holds an image's hooks: commands run inside a session by Nomad's exec.
type ExecConfig struct {
	// FirstLaunch runs once, when the session first becomes healthy and before
	// anybody has it, whether staged or on demand.
	FirstLaunch *Hook `json:"first_launch,omitempty"`
	// Assign runs when a staged session is given to a user, before the launch
	// is answered. Nil: nothing runs.
	Assign *Hook `json:"assign,omitempty"`
	// Go runs when a user who has a session of the image launches it again with
	// a URL: the same session is given, and this hook shows it the URL.
	Go *Hook `json:"go,omitempty"`
}

// Hook is one command and its surroundings. In the elements of Cmd and the
// values of Environment, tokens such as {username} stand for the launch's values.
type Hook struct {
	// Task is the Nomad task to run in; "" is the group's main task.
	Task string `json:"task,omitempty"`
	// Cmd is the argument vector. It is not a shell line; where a shell is
	// wanted, name it: ["/bin/sh", "-c", "..."].
	Cmd []string `json:"cmd"`
	// Environment is added to the task's own. The launch's variables and
	// greenroom's (GREENROOM_USER_NAME and so on) are added after it.
	Environment map[string]string `json:"environment,omitempty"`
	// Workdir is where the command starts; "" is where the task's exec does.
	Workdir string `json:"workdir,omitempty"`
	// User runs the command as another user of the container; "" is the task's
	// own. It needs a task that runs as root and a program to switch with.
	User string `json:"user,omitempty"`
	// Timeout bounds the command; 0 is DefaultHookTimeout. A hook that runs
	// past it has failed, and its session is destroyed.
	Timeout Duration `json:"timeout,omitempty"`
}

// Bounds of a hook's timeout. The default is generous for a script that tells
// a desktop its user; the maximum keeps a launch shorter than a proxy's usual
// patience.
const (
	DefaultHookTimeout = 10 * time.Second
	MaxHookTimeout     = 2 * time.Minute
)

// Deadline is the hook's timeout with the default applied.
func (h Hook) Deadline() time.Duration {
	if h.Timeout == 0 {
		return DefaultHookTimeout
	}
	return h.Timeout.Std()
}

// sessionTokens are known before a session has a user, hookTokens after.
var (
	sessionTokens = []Token{TokenSessionID, TokenImage, TokenZone}
	hookTokens    = []Token{TokenUsername, TokenUserID, TokenSessionID, TokenImage, TokenZone, TokenURL}
)

func (p *problems) execConfig(field string, c ExecConfig) {
	for name, h := range map[HookName]*Hook{HookFirstLaunch: c.FirstLaunch, HookAssign: c.Assign, HookGo: c.Go} {
		if h == nil {
			continue
		}
		known := hookTokens
		if name == HookFirstLaunch {
			known = sessionTokens
		}
		p.hook(field+"."+string(name), *h, known)
	}
}

func (p *problems) hook(field string, h Hook, known []Token) {
	if len(h.Cmd) == 0 || h.Cmd[0] == "" {
		p.add(field+".cmd", "must name a program, as a list: [\"/usr/bin/program\", \"argument\"]")
	}
	texts := shellTexts(h.Cmd)
	for i, a := range h.Cmd {
		at := fmt.Sprintf("%s.cmd[%d]", field, i)
		p.text(at, a)
		p.tokens(at, a, known)
		if len(tokensIn(a)) > 0 && texts[i] {
			p.add(at, "names or is what is run, where a token would turn a user's name into commands; use the variable (\"$GREENROOM_USER_NAME\"), or pass the token as a further element and use \"$1\"")
		}
	}
	p.environment(field+".environment", h.Environment)
	for k, v := range h.Environment {
		p.tokens(field+".environment."+k, v, known)
	}
	p.text(field+".workdir", h.Workdir)
	p.text(field+".user", h.User)
	if strings.HasPrefix(h.User, "-") || strings.ContainsAny(h.User, " \t\r\n:/") {
		p.add(field+".user", "must be a user name or numeric id, is %q", h.User)
	}
	if h.Timeout < 0 || h.Timeout.Std() > MaxHookTimeout {
		p.add(field+".timeout", "must be between 0s and %s, is %s", MaxHookTimeout, h.Timeout)
	}
}

// interpreters run what an argument says: the first that is no option, whether
// it is a text (after -c, -e or the like) or the name of a file. Those that are
// false do so only after such an option.
var interpreters = map[string]bool{
	"sh": true, "bash": true, "dash": true, "ash": true, "zsh": true, "ksh": true, "mksh": true, "fish": true, "csh": true, "tcsh": true,
	"python": true, "perl": true, "ruby": true, "node": true, "nodejs": true, "php": true, "lua": true, "tclsh": true, "pwsh": true,
	"awk": true, "gawk": true, "mawk": true, "sed": true, "eval": true,
	"su": false, "runuser": false, "env": false, "script": false,
}

// shellTexts are the elements of an argument vector that some program in it
// would run. A program may be run by another one (busybox sh, env sh), so each
// element is looked at.
func shellTexts(cmd []string) map[int]bool {
	texts := map[int]bool{0: true}
	for p, program := range cmd {
		always, known := interpreters[strings.TrimRight(path.Base(program), "0123456789.")]
		if !known {
			continue
		}
		seen := always
		for i := p + 1; i < len(cmd); i++ {
			if option := cmd[i]; strings.HasPrefix(option, "-") && option != "-" {
				seen = seen || strings.ContainsAny(option, "ceS")
				texts[i] = texts[i] || seen
				continue
			}
			texts[i] = texts[i] || seen
			break
		}
	}
	return texts
}

// HookTokens are the values of a hook's tokens for a launch and its session. A
// launch that is not there yet, as for first_launch, is the zero Launch.
func HookTokens(l Launch, s Session) map[Token]string {
	return map[Token]string{
		TokenUsername: l.User.Name, TokenUserID: l.User.ID, TokenURL: l.URL,
		TokenSessionID: s.ID, TokenImage: s.Image, TokenZone: s.Zone,
	}
}

// HookError says how a hook failed, for people and events.
type HookError struct {
	Hook HookName
	// ExitCode is the command's; -1 when it is not known.
	ExitCode int
	// Untouched: not one byte of it was handed over, so the session is as it was.
	Untouched bool
	// Stdout and Stderr are the ends of what it wrote.
	Stdout, Stderr string
	// Cause says what went wrong, exit code and last line included.
	Cause error
}

// Error implements error.
func (e *HookError) Error() string { return e.Cause.Error() }

// Unwrap gives the cause.
func (e *HookError) Unwrap() error { return e.Cause }

// HooksOf returns the hooks that a session was made with; those of its image as it is
// now where the session carries none.
func HooksOf(s Session, now Image) ExecConfig {
	if s.Hooks != nil {
		return *s.Hooks
	}
	return now.ExecConfig
}
