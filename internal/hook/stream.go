package hook

import (
	"bytes"
	"io"
	"slices"
	"sync"
)

// greeting is what the shell is asked to say first, on a line of its own.
const greeting = "greenroom-hook-shell-is-up"

// feed is the shell's stdin: it asks the shell for words, is given a script when
// the shell is to have it, and hands that over. It knows whether any of the script was
// taken. The Nomad client reads stdin on a goroutine of its own that may outlive the
// call, so that question has a firm answer only once the feed has been closed.
type feed struct {
	mu      sync.Mutex
	changed *sync.Cond
	asks    []byte
	script  []byte
	given   bool
	taken   bool
	closed  bool
}

func newFeed(farewell string) *feed {
	f := &feed{asks: []byte(farewellVariable + "=" + farewell + "; echo " + greeting + "\n")}
	f.changed = sync.NewCond(&f.mu)
	return f
}

// Read implements io.Reader.
func (f *feed) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for !f.closed && !f.given && len(f.asks) == 0 {
		f.changed.Wait()
	}
	switch {
	case f.closed:
		return 0, io.EOF
	case len(f.asks) > 0:
		n := copy(p, f.asks)
		f.asks = f.asks[n:]
		return n, nil
	case len(f.script) == 0:
		return 0, io.EOF
	}
	n := copy(p, f.script)
	f.script = f.script[n:]
	f.taken = f.taken || n > 0
	return n, nil
}

// ask has the shell say a word.
func (f *feed) ask(word string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asks = append(f.asks, "echo "+word+"\n"...)
	f.changed.Broadcast()
}

// give lets the shell have the script, and then the end of its stdin.
func (f *feed) give(script []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script, f.given = script, true
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

// output is the shell's stdout: it waits for words that the shell was asked for,
// keeps the end of what comes when none is awaited, and waits for the farewell; words
// and farewell it takes out.
type output struct {
	tail
	mu sync.Mutex
	// awaited is the word, heard is closed when it comes, before what came meanwhile.
	awaited string
	heard   chan struct{}
	before  []byte
	// farewell is what the script says after a success and nobody else can know;
	// farewelled is closed when it comes.
	farewell   string
	farewelled chan struct{}
	over       bool
}

func newOutput(farewell string) *output {
	return &output{farewell: farewell, farewelled: make(chan struct{})}
}

// await gives what is closed when the shell has said the word on a line of its own.
func (o *output) await(word string) (heard <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.awaited, o.heard, o.before = word, make(chan struct{}), nil
	return o.heard
}

// Write implements io.Writer and never fails.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(p)
	if o.awaited != "" {
		o.before = append(o.before, p...)
		_, after, found := bytes.Cut(o.before, []byte(o.awaited+"\n"))
		if !found {
			o.before = o.before[max(0, len(o.before)-TailBytes):]
			return n, nil
		}
		o.awaited, o.before = "", nil
		close(o.heard)
		p = after
	}
	_, _ = o.tail.Write(p)
	if !o.over && o.cut(o.farewell+"\n") {
		o.over = true
		close(o.farewelled)
	}
	return n, nil
}

// succeeded reports whether the farewell has been said.
func (o *output) succeeded() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.over
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
