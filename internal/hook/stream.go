package hook

import (
	"bytes"
	"io"
	"slices"
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

func newFeed(script []byte, farewell string) *feed {
	f := &feed{hello: []byte(farewellVariable + "=" + farewell + "; echo " + greeting + "\n"), script: script}
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

// output is the shell's stdout: it waits for the greeting, keeps the end of
// what follows, and waits for the farewell; both it takes out.
type output struct {
	tail
	mu         sync.Mutex
	before     []byte
	greeted    bool
	onGreeting func()
	// farewell is what the script says after a success and nobody else can know.
	farewell   string
	farewelled bool
	onFarewell func()
}

// Write implements io.Writer and never fails.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(p)
	if !o.greeted {
		o.before = append(o.before, p...)
		_, after, found := bytes.Cut(o.before, []byte(greeting+"\n"))
		if !found {
			o.before = o.before[max(0, len(o.before)-TailBytes):]
			return n, nil
		}
		o.greeted, o.before = true, nil
		o.onGreeting()
		p = after
	}
	_, _ = o.tail.Write(p)
	if !o.farewelled && o.cut(o.farewell+"\n") {
		o.farewelled = true
		o.onFarewell()
	}
	return n, nil
}

// succeeded reports whether the farewell has been said.
func (o *output) succeeded() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.farewelled
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

// cut takes out the first s of what is kept, and reports whether there was one.
func (t *tail) cut(s string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, after, found := bytes.Cut(t.buf, []byte(s))
	if found {
		t.buf = slices.Concat(before, after)
	}
	return found
}

// String is what has been kept so far.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
