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
	HookPreEnd      HookName = "pre_end"
	HookPreStop     HookName = "pre_stop"
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
	// PreEnd runs some time before a user's session ends by its time limit or because it is not
	// used, at most once for each such end, so that the user can be warned in the session.
	PreEnd *Hook `json:"pre_end,omitempty"`
	// PreStop runs when a user's session is ended, before it is stopped. It is stopped whatever
	// comes of it.
	PreStop *Hook `json:"pre_stop,omitempty"`
}

// Hooks yields the hooks that are set, with their names, in the order in which they run.
func (c ExecConfig) Hooks(yield func(HookName, *Hook) bool) {
	for _, h := range []struct {
		name HookName
		hook *Hook
	}{{HookFirstLaunch, c.FirstLaunch}, {HookAssign, c.Assign}, {HookGo, c.Go}, {HookPreEnd, c.PreEnd}, {HookPreStop, c.PreStop}} {
		if h.hook != nil && !yield(h.name, h.hook) {
			return
		}
	}
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
	// Before is, for PreEnd only, how long before the time limit it runs; 0 is the time at which
	// users are warned anyway, see Session.EndWarning.
	Before Duration `json:"before,omitempty"`
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
	for name, h := range c.Hooks {
		known := hookTokens
		if name == HookFirstLaunch {
			known = sessionTokens
		}
		p.hook(field+"."+string(name), *h, known)
		p.before(field+"."+string(name)+".before", name, h.Before)
	}
}

// MaxBefore bounds a pre_end hook's before: a longer one is no warning.
const MaxBefore = Duration(24 * time.Hour)

func (p *problems) before(field string, name HookName, before Duration) {
	switch {
	case before == 0:
	case name != HookPreEnd:
		p.add(field, "is for the pre_end hook: leave it out here")
	case before < MinTerm || before > MaxBefore:
		p.add(field, "must be between %s and %s, is %s", MinTerm.Brief(), MaxBefore.Brief(), before.Brief())
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
	p.user(field+".user", h.User)
	if h.Timeout < 0 || h.Timeout.Std() > MaxHookTimeout {
		p.add(field+".timeout", "must be between 0s and %s, is %s", Duration(MaxHookTimeout).Brief(), h.Timeout.Brief())
	}
}

// HookCommand is the name, in errors, of a command that is no hook of an image.
const HookCommand HookName = "command"

// ValidateCommand returns an *InvalidError if a hook cannot be run as a command of its own, outside
// of an image, or nil. Braces in it are no tokens.
func (h Hook) ValidateCommand() error {
	var p problems
	if len(h.Cmd) == 0 || h.Cmd[0] == "" {
		p.add("cmd", "must name a program")
	}
	for i, a := range h.Cmd {
		p.text(fmt.Sprintf("cmd[%d]", i), a)
	}
	p.environment("environment", h.Environment)
	p.text("workdir", h.Workdir)
	p.user("user", h.User)
	return p.err("command")
}

func (p *problems) user(field, user string) {
	p.text(field, user)
	if strings.HasPrefix(user, "-") || strings.ContainsAny(user, " \t\r\n:/") {
		p.add(field, "must be a user name or numeric id, is %q", user)
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
