package staging

import (
	"fmt"
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
	// FirstLaunch runs once, when a session first becomes healthy and before a user gets
	// it, for staged and on-demand sessions.
	FirstLaunch *Hook `json:"first_launch,omitempty"`
	// Assign runs when a user gets a staged session, before the launch returns. Nil: nothing
	// runs.
	Assign *Hook `json:"assign,omitempty"`
	// Go runs when a user who already has a session of the image launches the image with a
	// URL. The launch returns the same session, and this hook opens the URL in it.
	Go *Hook `json:"go,omitempty"`
}

// Hook is one command and its environment. In the elements of Cmd and the values of
// Environment, tokens such as {username} stand for values of the launch.
type Hook struct {
	// Task is the Nomad task to run in; "" is the group's main task.
	Task string `json:"task,omitempty"`
	// Cmd is the argument vector, not a shell command. To use a shell, name it:
	// ["/bin/sh", "-c", "..."].
	Cmd []string `json:"cmd"`
	// Environment is added to the task's environment, and to the launch's variables, over
	// which it goes. Greenroom's own variables (GREENROOM_USER_NAME and so on) are added, too.
	Environment map[string]string `json:"environment,omitempty"`
	// Workdir is the command's working directory; "" is that of the task's exec.
	Workdir string `json:"workdir,omitempty"`
	// User runs the command as another user of the container; "" is the task's
	// own. It needs a task that runs as root and a program to switch with.
	User string `json:"user,omitempty"`
	// Timeout bounds the command; 0 is DefaultHookTimeout. A hook that takes longer has
	// failed, and its session is destroyed.
	Timeout Duration `json:"timeout,omitempty"`
}

// Bounds of a hook's timeout. The default is ample for a script that configures a desktop
// for its user. The maximum keeps a launch shorter than the usual timeout of a proxy.
const (
	DefaultHookTimeout = 10 * time.Second
	MaxHookTimeout     = 2 * time.Minute
)

// Deadline returns the hook's timeout, or the default.
func (h Hook) Deadline() time.Duration {
	if h.Timeout == 0 {
		return DefaultHookTimeout
	}
	return h.Timeout.Std()
}

// sessionTokens have values before a session has a user, hookTokens only after that.
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
	code := codeIn(h.Cmd)
	for i, a := range h.Cmd {
		at := fmt.Sprintf("%s.cmd[%d]", field, i)
		p.text(at, a)
		p.tokens(at, a, known)
		if len(tokensIn(a)) == 0 {
			continue
		}
		if why := code(i); why != "" {
			p.add(at, "%s, so a token would turn a user's name into commands; use the variable (\"$GREENROOM_USER_NAME\"), or the form [\"sh\", \"-c\", \"... \\\"$1\\\"\", \"sh\", \"{username}\"]", why)
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
		p.add(field+".timeout", "must be between 0s and %s, is %s", Duration(MaxHookTimeout).Brief(), h.Timeout.Brief())
	}
}

// HookTokens returns the values of a hook's tokens for a launch and its session. Without a
// launch, as for first_launch, l is the zero Launch.
func HookTokens(l Launch, s Session) map[Token]string {
	return map[Token]string{
		TokenUsername: l.User.Name, TokenUserID: l.User.ID, TokenURL: l.URL,
		TokenSessionID: s.ID, TokenImage: s.Image, TokenZone: s.Zone,
	}
}

// HookError is the failure of a hook.
type HookError struct {
	Hook HookName
	// ExitCode is the command's; -1 if it is not known.
	ExitCode int
	// Untouched: no byte of the hook was sent, so the session is unused.
	Untouched bool
	// Stdout and Stderr are the ends of its output.
	Stdout, Stderr string
	// Cause says what failed, with the exit code and the last line of output.
	Cause error
}

// Error implements error.
func (e *HookError) Error() string { return e.Cause.Error() }

// Unwrap returns the cause.
func (e *HookError) Unwrap() error { return e.Cause }

// HooksOf returns the hooks that a session was made with; those of its image as it is
// now where the session carries none.
func HooksOf(s Session, now Image) ExecConfig {
	if s.Hooks != nil {
		return *s.Hooks
	}
	return now.ExecConfig
}
