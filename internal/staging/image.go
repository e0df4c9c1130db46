package staging

import (
	"fmt"
	"time"
)

// Image is what a session runs: a Nomad jobspec template and what to do in it.
type Image struct {
	Name string `json:"name"`
	// Jobspec is a Nomad job in HCL with one group of count 1; see jobspecs/.
	Jobspec string `json:"jobspec"`
	// Variables are given to the jobspec's HCL variables, as strings.
	Variables map[string]string `json:"variables,omitempty"`
	// ExecConfig holds the commands to run in a session.
	ExecConfig ExecConfig `json:"exec_config,omitzero"`
}

// ExecConfig holds an image's hooks: commands run inside a session by Nomad's exec.
type ExecConfig struct {
	// Assign runs when a staged session is given to a user, before the launch
	// is answered. Nil: nothing runs.
	Assign *Hook `json:"assign,omitempty"`
}

// Hook is one command and its surroundings.
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

// MaxJobspecBytes bounds a stored jobspec: Consul refuses a KV value over
// 512 KiB, and the rest of the image must fit beside it.
const MaxJobspecBytes = 256 << 10

// Validate returns an *InvalidError, or nil. Whether the jobspec parses is
// for Nomad to say, and is checked where Nomad can be asked.
func (i Image) Validate() error {
	var p problems
	p.name("name", i.Name)
	switch {
	case i.Jobspec == "":
		p.add("jobspec", "must hold a Nomad job in HCL")
	case len(i.Jobspec) > MaxJobspecBytes:
		p.add("jobspec", "must be at most %d bytes, is %d", MaxJobspecBytes, len(i.Jobspec))
	}
	for k := range i.Variables {
		if !envKey.MatchString(k) {
			p.add("variables."+k, "is not a name for an HCL variable")
		}
	}
	if i.ExecConfig.Assign != nil {
		p.hook("exec_config.assign", *i.ExecConfig.Assign)
	}
	return p.err(fmt.Sprintf("image %q", i.Name))
}

func (p *problems) hook(field string, h Hook) {
	if len(h.Cmd) == 0 || h.Cmd[0] == "" {
		p.add(field+".cmd", "must name a program, as a list: [\"/usr/bin/program\", \"argument\"]")
	}
	for i, a := range h.Cmd {
		p.text(fmt.Sprintf("%s.cmd[%d]", field, i), a)
	}
	p.environment(field+".environment", h.Environment)
	p.text(field+".workdir", h.Workdir)
	if h.Timeout < 0 || h.Timeout.Std() > MaxHookTimeout {
		p.add(field+".timeout", "must be between 0s and %s, is %s", MaxHookTimeout, h.Timeout)
	}
}
