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

// connections bounds the number of open connections, in all and of one address: past it,
// those that have been idle for longest are closed. One that is being served is never closed;
// where all are, the new one is closed. A trusted proxy may have all of them, since it has
// those of all of its clients.
type connections struct {
	most, perAddress int
	proxies          Proxies
	mu               sync.Mutex
	open             int
	// each counts the open ones of each address.
	each map[string]int
	// idle are those without a request, the oldest in front; places holds the element of each.
	idle   *list.List
	places map[net.Conn]*list.Element
	// closing were closed here and no longer count.
	closing map[net.Conn]bool
}

func newConnections(most int, proxies Proxies) *connections {
	// Half of the files that may be open is left for connections to the servers, and for logs.
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil && files.Cur/2 < uint64(most) {
		most = int(files.Cur / 2)
	}
	return &connections{most: most, perAddress: max(1, most/2), proxies: proxies, each: map[string]int{}, idle: list.New(), places: map[net.Conn]*list.Element{}, closing: map[net.Conn]bool{}}
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
		c.forget(conn)
	case state == http.StateNew:
		c.open++
		c.each[addressOf(conn)]++
		c.rest(conn)
		switch {
		case c.each[addressOf(conn)] > c.perAddress && !c.ofProxy(conn):
			c.closeOldest(addressOf(conn))
		case c.open > c.most:
			c.closeOldest("")
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

// forget no longer counts a connection.
func (c *connections) forget(conn net.Conn) {
	c.open--
	address := addressOf(conn)
	if c.each[address]--; c.each[address] <= 0 {
		delete(c.each, address)
	}
}

// ofProxy reports whether a connection is a trusted proxy's.
func (c *connections) ofProxy(conn net.Conn) bool {
	a, ok := addressIn(conn.RemoteAddr().String())
	return ok && c.proxies.trusts(a)
}

// addressOf returns the address that a connection is from, without its port.
func addressOf(conn net.Conn) string { return hostOf(conn.RemoteAddr().String()) }

// closeOldest closes the oldest idle connection, of an address unless it is "", and no longer
// counts it; the server notices the end a little later. There is one: the newest is idle.
func (c *connections) closeOldest(address string) {
	at := c.idle.Front()
	for address != "" && addressOf(at.Value.(net.Conn)) != address {
		at = at.Next()
	}
	oldest := at.Value.(net.Conn)
	c.busy(oldest)
	c.forget(oldest)
	c.closing[oldest] = true
	_ = oldest.Close() // an error changes nothing: the connection is no longer counted
}
