package hook

import (
	"bytes"
	"io"
	"sync"
)

// greeting is what the shell is asked to say first, on a line of its own.
const greeting = "greenroom-hook-shell-is-up"

// feed is the shell's stdin: it asks for the greeting, waits to be released,
// and hands over the script. It knows whether any of the script was taken. The
// Nomad client reads stdin on a goroutine of its own that may outlive the call,
// so that question has a firm answer only once the feed has been closed.
type feed struct {
	mu       sync.Mutex
	changed  *sync.Cond
	hello    []byte
	script   []byte
	released bool
	taken    bool
	closed   bool
}

func newFeed(script []byte) *feed {
	f := &feed{hello: []byte("echo " + greeting + "\n"), script: script}
	f.changed = sync.NewCond(&f.mu)
	return f
}

// Read implements io.Reader.
func (f *feed) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed && len(f.hello) > 0 {
		n := copy(p, f.hello)
		f.hello = f.hello[n:]
		return n, nil
	}
	for !f.closed && !f.released {
		f.changed.Wait()
	}
	if f.closed || len(f.script) == 0 {
		return 0, io.EOF
	}
	n := copy(p, f.script)
	f.script = f.script[n:]
	f.taken = f.taken || n > 0
	return n, nil
}

// release lets the script go.
func (f *feed) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.released = true
	f.changed.Broadcast()
}

// close ends the feed, any read under way included, and reports whether any
// of the script was ever taken.
func (f *feed) close() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.changed.Broadcast()
	return f.taken
}

// greeted is the shell's stdout: it waits for the greeting, takes it out, and
// keeps the end of all that follows.
type greeted struct {
	tail
	once       sync.Mutex
	before     []byte
	greeted    bool
	onGreeting func()
}

// Write implements io.Writer and never fails.
func (g *greeted) Write(p []byte) (int, error) {
	g.once.Lock()
	defer g.once.Unlock()
	if g.greeted {
		return g.tail.Write(p)
	}
	g.before = append(g.before, p...)
	_, after, found := bytes.Cut(g.before, []byte(greeting+"\n"))
	if found {
		g.greeted, g.before = true, nil
		_, _ = g.tail.Write(after)
		g.onGreeting()
	} else if over := len(g.before) - TailBytes; over > 0 {
		g.before = g.before[over:]
	}
	return len(p), nil
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
