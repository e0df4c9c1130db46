package nomadfleet

import (
	"errors"
	"io"
	"strings"
)

// runtimeRefusal begins what a container runtime writes in place of a command that it could not
// start. Docker's driver passes it on as if the command itself had written it.
const (
	runtimeRefusal = "OCI runtime exec failed: "
	// maxRuntimeRefusal bounds it, in bytes.
	maxRuntimeRefusal = 4096
)

// The exit codes with which Docker reports such a command.
const (
	runtimeNotExecutable = 126
	runtimeNoCommand     = 127
)

// heldOutput passes a command's output on, but for what may be a runtime's refusal: that is held
// until the command has ended, or until it turns out to be something else.
type heldOutput struct {
	to   io.Writer
	held []byte
	// passing: it is known to be no refusal.
	passing bool
}

// Write implements io.Writer.
func (o *heldOutput) Write(p []byte) (int, error) {
	if o.passing {
		return o.to.Write(p)
	}
	o.held = append(o.held, p...)
	n := min(len(o.held), len(runtimeRefusal))
	if string(o.held[:n]) == runtimeRefusal[:n] && len(o.held) <= maxRuntimeRefusal {
		return len(p), nil
	}
	return len(p), o.pass()
}

// pass writes what is held.
func (o *heldOutput) pass() error {
	held := o.held
	o.held, o.passing = nil, true
	if len(held) == 0 {
		return nil
	}
	_, err := o.to.Write(held)
	return err
}

// refusal returns why the runtime did not start the command, if that is all that was written.
func (o *heldOutput) refusal() error {
	if text := string(o.held); strings.HasPrefix(text, runtimeRefusal) {
		return whyNotStarted(errors.New(text))
	}
	return nil
}

// refusedByRuntime returns why a runtime did not start a command that ended with a code; nil for
// one that it did start.
func refusedByRuntime(code int, outputs ...*heldOutput) error {
	if code != runtimeNotExecutable && code != runtimeNoCommand {
		return nil
	}
	for _, o := range outputs {
		if why := o.refusal(); why != nil {
			return why
		}
	}
	return nil
}
