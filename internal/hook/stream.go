package hook

import (
	"io"
	"sync"
)

// feed hands the script to whoever reads it, and knows whether any of it was
// taken. The Nomad client reads stdin on a goroutine of its own that may
// outlive the call, so the question "was it read?" has a firm answer only once
// the feed has been closed.
type feed struct {
	mu     sync.Mutex
	rest   []byte
	taken  bool
	closed bool
}

// Read implements io.Reader. The Nomad client reads only once its connection
// to the session stands, so a read means that bytes are on their way.
func (f *feed) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || len(f.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	f.taken = f.taken || n > 0
	return n, nil
}

// close ends the feed and reports whether any of it was ever taken.
func (f *feed) close() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return f.taken
}

// TailBytes is how much of each output stream is kept.
const TailBytes = 4 << 10

// tail keeps the last TailBytes of what is written to it. It may still be
// written to while, and after, it is read.
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

// String is what has been kept so far.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
