package output

import (
	"io"
	"sync"
)

// lines is a writer for several goroutines.
type lines struct {
	mu sync.Mutex
	to io.Writer
}

// Lines returns a writer to w that several goroutines may use at once. What one of them writes
// in one call stays together.
func Lines(w io.Writer) io.Writer { return &lines{to: w} }

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(p)
}
