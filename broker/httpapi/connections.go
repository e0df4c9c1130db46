package httpapi

import (
	"container/list"
	"net"
	"net/http"
	"sync"
	"syscall"
)

// DefaultConnections is how many connections a server keeps open at most.
const DefaultConnections = 8192

// connections bounds the number of open connections: past it, those that have been idle
// for longest are closed. One that is being served is never closed; where all are, the new
// one is closed.
type connections struct {
	most int
	mu   sync.Mutex
	open int
	// idle are those without a request, the oldest in front; places holds the element of each.
	idle   *list.List
	places map[net.Conn]*list.Element
	// closing were closed here and no longer count.
	closing map[net.Conn]bool
}

func newConnections(most int) *connections {
	// Half of the files that may be open is left for connections to the servers, and for logs.
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil && files.Cur/2 < uint64(most) {
		most = int(files.Cur / 2)
	}
	return &connections{most: most, idle: list.New(), places: map[net.Conn]*list.Element{}, closing: map[net.Conn]bool{}}
}

// follow is an http.Server's ConnState.
func (c *connections) follow(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	over := state == http.StateClosed || state == http.StateHijacked
	if c.closing[conn] {
		if over {
			delete(c.closing, conn)
		}
		return
	}
	c.busy(conn)
	switch {
	case over:
		c.open--
	case state == http.StateNew:
		c.open++
		c.rest(conn)
		if c.open > c.most {
			c.closeOldest()
		}
	case state == http.StateIdle:
		c.rest(conn)
	}
}

func (c *connections) rest(conn net.Conn) { c.places[conn] = c.idle.PushBack(conn) }

func (c *connections) busy(conn net.Conn) {
	if at := c.places[conn]; at != nil {
		c.idle.Remove(at)
		delete(c.places, conn)
	}
}

// closeOldest closes the oldest idle connection, and no longer counts it; the server
// notices the end a little later.
func (c *connections) closeOldest() {
	oldest := c.idle.Front().Value.(net.Conn)
	c.busy(oldest)
	c.open--
	c.closing[oldest] = true
	_ = oldest.Close() // an error changes nothing: the connection is no longer counted
}
