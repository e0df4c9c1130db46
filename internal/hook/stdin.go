package hook

import (
	"io"
	"sync"
)

// readyMarker is the first line that the shell prints.
const readyMarker = "greenroom-hook-shell-is-up"

// stdinFeed is the shell's stdin: first probes, then the script. It records whether any
// byte of the script was read. The Nomad client reads stdin on a goroutine that may
// outlive the exec, so only close returns a final answer.
type stdinFeed struct {
	mu         sync.Mutex
	changed    *sync.Cond
	probes     []byte
	script     []byte
	scriptSent bool
	delivered  bool
	closed     bool
}

func newStdinFeed(successMarker string) *stdinFeed {
	f := &stdinFeed{probes: []byte(successVariable + "=" + successMarker + "; echo " + readyMarker + "\n")}
	f.changed = sync.NewCond(&f.mu)
	return f
}

// Read implements io.Reader.
func (f *stdinFeed) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for !f.closed && !f.scriptSent && len(f.probes) == 0 {
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

// sendScript lets the shell read the script, and then the end of its stdin.
func (f *stdinFeed) sendScript(script []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script, f.scriptSent = script, true
	f.changed.Broadcast()
}

// close ends stdin, also for a Read that is blocked, and reports whether any byte of the
// script was read.
func (f *stdinFeed) close() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.changed.Broadcast()
	return f.delivered
}
