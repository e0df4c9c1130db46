package hook

import (
	"io"
	"sync"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// readyMarker is the first line that the shell prints.
const readyMarker = "greenroom-hook-shell-is-up"

// endDelay is how long after the script its end is sent. A script that fails exits by itself, and
// the end matters only to drivers that wait for it. A success has arrived before, on all but slow
// machines, and is not held up by a message on the same way; an armed shell exits by the end.
const endDelay = 50 * time.Millisecond

// stdinFeed is the shell's stdin: first probes, then the script. It records whether any
// byte of the script was read. The Nomad client reads stdin on a goroutine that may
// outlive the exec, so only close returns a final answer.
type stdinFeed struct {
	mu      sync.Mutex
	changed *sync.Cond
	probes  []byte
	script  []byte
	// atEnd: after the script comes the end. It is set by ending, endDelay after the script.
	atEnd     bool
	ending    *time.Timer
	delivered bool
	closed    bool
}

// newStdinFeed returns the stdin of a shell; hold is for an armed one, see holdVariable.
func newStdinFeed(successMarker string, hold bool) *stdinFeed {
	held := ""
	if hold {
		held = "1"
	}
	f := &stdinFeed{probes: []byte(successVariable + "=" + successMarker + "; " + holdVariable + "=" + held + "; " +
		prepareKeep(staging.HookAssign) + "; echo " + readyMarker + "\n")}
	f.changed = sync.NewCond(&f.mu)
	return f
}

// Read implements io.Reader.
func (f *stdinFeed) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for !f.closed && !f.atEnd && len(f.script) == 0 && len(f.probes) == 0 {
		f.changed.Wait()
	}
	switch {
	case f.closed:
		return 0, io.EOF
	case len(f.probes) > 0:
		n := copy(p, f.probes)
		f.probes = f.probes[n:]
		return n, nil
	case len(f.script) == 0:
		return 0, io.EOF
	}
	n := copy(p, f.script)
	f.script = f.script[n:]
	f.delivered = f.delivered || n > 0
	return n, nil
}

// probe lets the shell print a marker.
func (f *stdinFeed) probe(marker string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.probes = append(f.probes, "echo "+marker+"\n"...)
	f.changed.Broadcast()
}

// sendScript lets the shell read the script, and after endDelay the end of its stdin.
func (f *stdinFeed) sendScript(script []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script = script
	f.ending = time.AfterFunc(endDelay, f.end)
	f.changed.Broadcast()
}

func (f *stdinFeed) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.atEnd = true
	f.changed.Broadcast()
}

// close ends stdin, also for a Read that is blocked, and reports whether any byte of the
// script was read.
func (f *stdinFeed) close() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if f.ending != nil {
		f.ending.Stop()
	}
	f.changed.Broadcast()
	return f.delivered
}
