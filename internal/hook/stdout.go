package hook

import (
	"bytes"
	"slices"
	"sync"
)

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
func (w *stdoutWatcher) expect(marker string) (seen <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.expected, w.seen, w.pending = marker, make(chan struct{}), nil
	return w.seen
}

// Write implements io.Writer and never fails.
func (w *stdoutWatcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(p)
	if w.expected != "" {
		w.pending = append(w.pending, p...)
		_, after, found := bytes.Cut(w.pending, []byte(w.expected+"\n"))
		if !found {
			w.pending = w.pending[max(0, len(w.pending)-TailBytes):]
			return n, nil
		}
		w.expected, w.pending = "", nil
		close(w.seen)
		p = after
	}
	_, _ = w.tail.Write(p)
	if !w.succeeded && w.remove(w.successMarker+"\n") {
		w.succeeded = true
		close(w.success)
	}
	return n, nil
}

// hasSucceeded reports whether the success marker has arrived.
func (w *stdoutWatcher) hasSucceeded() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.succeeded
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
