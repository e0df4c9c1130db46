package hook

import (
	"bytes"
	"io"
	"slices"
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

// stdoutWatcher is the shell's stdout. It waits for markers, keeps the end of the other
// output, and removes the markers and everything before an expected one.
type stdoutWatcher struct {
	tail
	mu sync.Mutex
	// expected is the marker to wait for, "" for none. seen is closed when it arrives.
	// pending is the output until then.
	expected string
	seen     chan struct{}
	pending  []byte
	// successMarker is the line that the script prints after a success. success is closed
	// and succeeded set when it arrives.
	successMarker string
	success       chan struct{}
	succeeded     bool
}

func newStdoutWatcher(successMarker string) *stdoutWatcher {
	return &stdoutWatcher{successMarker: successMarker, success: make(chan struct{})}
}

// expect returns a channel that is closed when the shell has printed the marker as a line.
func (o *stdoutWatcher) expect(marker string) (seen <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.expected, o.seen, o.pending = marker, make(chan struct{}), nil
	return o.seen
}

// Write implements io.Writer and never fails.
func (o *stdoutWatcher) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(p)
	if o.expected != "" {
		o.pending = append(o.pending, p...)
		_, after, found := bytes.Cut(o.pending, []byte(o.expected+"\n"))
		if !found {
			o.pending = o.pending[max(0, len(o.pending)-TailBytes):]
			return n, nil
		}
		o.expected, o.pending = "", nil
		close(o.seen)
		p = after
	}
	_, _ = o.tail.Write(p)
	if !o.succeeded && o.remove(o.successMarker+"\n") {
		o.succeeded = true
		close(o.success)
	}
	return n, nil
}

// hasSucceeded reports whether the success marker has arrived.
func (o *stdoutWatcher) hasSucceeded() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.succeeded
}

// TailBytes is how many bytes of each output stream are kept.
const TailBytes = 4 << 10

// tail keeps the last TailBytes of what is written to it. Writing is allowed during and
// after reading.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

// Write implements io.Writer and never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(p)
	if len(p) > TailBytes {
		p = p[len(p)-TailBytes:]
	}
	if over := len(t.buf) + len(p) - TailBytes; over > 0 {
		t.buf = t.buf[:copy(t.buf, t.buf[over:])]
	}
	t.buf = append(t.buf, p...)
	return n, nil
}

// remove removes the first occurrence of s, and reports whether there was one.
func (t *tail) remove(s string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, after, found := bytes.Cut(t.buf, []byte(s))
	if found {
		t.buf = slices.Concat(before, after)
	}
	return found
}

// String returns what is kept so far.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
