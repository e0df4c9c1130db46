package gateway

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// stall is how long a client may neither take nor send a byte of a body that is under way, or
// neither take a byte of a socket that has some for it.
const stall = time.Minute

// Buffers of a socket's direction: a small one while little is sent at once, so that open sockets
// cost little memory, and a large one from the first read on that fills the small one.
const (
	smallBuffer = 4 << 10
	largeBuffer = 32 << 10
)

// answer is the client's side of a request. It counts what is sent, bounds how long a client may
// stall, and notes that the session is in use.
type answer struct {
	http.ResponseWriter
	control *http.ResponseController
	status  int
	bytes   atomic.Int64
	// used notes that bytes were sent or received; nil before the session is known.
	used func()
	// hijacked: the connection is a socket, which sockets counts.
	hijacked bool
	sockets  func(change int)
}

func newAnswer(w http.ResponseWriter) *answer {
	return &answer{ResponseWriter: w, control: http.NewResponseController(w)}
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements io.Writer.
func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	a.mustTake()
	n, err := a.ResponseWriter.Write(p)
	a.mayWait()
	a.bytes.Add(int64(n))
	a.use()
	return n, err
}

// FlushError sends what is buffered; http.ResponseController calls it.
func (a *answer) FlushError() error {
	a.mustTake()
	err := a.control.Flush()
	a.mayWait()
	return err
}

// mustTake begins the time in which the client must take what is sent. (A connection that was
// hijacked has no deadline here, and neither has the writer of a test.)
func (a *answer) mustTake() { _ = a.control.SetWriteDeadline(time.Now().Add(stall)) }

// mayWait ends it: the session's next byte may be a long time off, and HTTP/2 would reset the
// stream meanwhile.
func (a *answer) mayWait() { _ = a.control.SetWriteDeadline(time.Time{}) }

func (a *answer) use() {
	if a.used != nil {
		a.used()
	}
}

// Hijack implements http.Hijacker.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := a.control.Hijack()
	if err != nil {
		return nil, nil, err
	}
	a.hijacked, a.status = true, http.StatusSwitchingProtocols
	a.sockets(1)
	return &socket{Conn: conn, answer: a}, buffered, nil
}

// body is a request's body, of which a client must not stall the sending.
type body struct {
	io.ReadCloser
	answer *answer
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	_ = b.answer.control.SetReadDeadline(time.Now().Add(stall))
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.allow()
	}
	b.answer.use()
	return n, err
}

// Close implements io.Closer.
func (b *body) Close() error {
	b.allow()
	return b.ReadCloser.Close()
}

// allow lets the client be silent again: while it waits for the answer it sends nothing.
func (b *body) allow() { _ = b.answer.control.SetReadDeadline(time.Time{}) }

// socket is the client's side of a WebSocket, or of another protocol that the connection was
// switched to.
type socket struct {
	net.Conn
	answer *answer
}

// errHungUp ends both directions: these protocols have no half-closed connections, and a session
// that kept its own side open would hold the socket.
var errHungUp = errors.New("the client hung up")

// WriteTo sends what the client sends to the session.
func (s *socket) WriteTo(w io.Writer) (int64, error) {
	n, err := s.copy(w, s.Conn)
	if err == nil {
		err = errHungUp
	}
	return n, err
}

// ReadFrom sends what the session sends to the client.
func (s *socket) ReadFrom(r io.Reader) (int64, error) {
	n, err := s.copy(s, r)
	s.answer.bytes.Add(n)
	return n, err
}

// Write implements io.Writer.
func (s *socket) Write(p []byte) (int, error) {
	if err := s.Conn.SetWriteDeadline(time.Now().Add(stall)); err != nil {
		return 0, err
	}
	return s.Conn.Write(p)
}

// copy copies until the end of r, or an error.
func (s *socket) copy(w io.Writer, r io.Reader) (int64, error) {
	var copied int64
	buffer := make([]byte, smallBuffer)
	for {
		n, err := r.Read(buffer)
		if n > 0 {
			s.answer.use()
			written, failed := w.Write(buffer[:n])
			copied += int64(written)
			if failed != nil {
				return copied, failed
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return copied, nil
		case err != nil:
			return copied, err
		case n == len(buffer) && len(buffer) < largeBuffer:
			buffer = make([]byte, largeBuffer)
		}
	}
}
