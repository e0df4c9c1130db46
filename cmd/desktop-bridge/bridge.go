package main

import (
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// Limits of the WebSocket.
const (
	// maxViewers bounds the pages that show one desktop at once.
	maxViewers = 16
	// maxMessage bounds a message of the page: noVNC sends at most a clipboard at once.
	maxMessage = 8 << 20
	// stall is how long a page may take none of the bytes for it.
	stall = time.Minute
	// dialTimeout limits the connection to the X server, with its banner.
	dialTimeout = 2 * time.Second
	pumpBuffer  = 32 << 10
)

// bridge carries WebSockets to the X server.
type bridge struct {
	// socket is the path of the Unix socket on which the X server speaks VNC.
	socket string
	// places has an element for each page that is connected.
	places chan struct{}
	// spoke: the X server has sent its banner once. Nothing else listens on the socket, and more
	// connections for it would fill the X server's log.
	spoke atomic.Bool
}

// speaks returns nil if the X server has sent its banner.
func (b *bridge) speaks() error {
	if b.spoke.Load() {
		return nil
	}
	conn, err := b.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(dialTimeout)); err != nil {
		return err
	}
	if err := readBanner(conn); err != nil {
		return err
	}
	b.spoke.Store(true)
	return nil
}

func (b *bridge) dial() (net.Conn, error) { return net.DialTimeout("unix", b.socket, dialTimeout) }

// ServeHTTP connects a page to the X server until either ends. It takes only pages of its own
// host.
func (b *bridge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case b.places <- struct{}{}:
		defer func() { <-b.places }()
	default:
		http.Error(w, "too many pages show this desktop: close one", http.StatusServiceUnavailable)
		return
	}
	rfb, err := b.dial()
	if err != nil {
		http.Error(w, "the X server does not answer: "+err.Error(), http.StatusBadGateway)
		return
	}
	defer rfb.Close()
	up := websocket.Upgrader{HandshakeTimeout: headerTimeout, ReadBufferSize: 4 << 10, WriteBufferSize: pumpBuffer}
	page, err := up.Upgrade(w, r, nil)
	if err != nil {
		return // the upgrader has answered
	}
	defer page.Close()
	down := make(chan struct{})
	go func() {
		defer close(down)
		toPage(page, rfb)
		// The other direction ends with its connections.
		page.Close()
	}()
	toServer(rfb, page)
	rfb.Close()
	<-down
}

// toServer carries what the page sends, until either side ends. It sends no pings: they
// would be traffic, which keeps a session from being idle. TCP finds a page that has vanished.
func toServer(rfb net.Conn, page *websocket.Conn) {
	page.SetReadLimit(maxMessage)
	for {
		_, message, err := page.NextReader()
		if err != nil {
			return
		}
		if _, err := io.Copy(rfb, message); err != nil {
			return
		}
	}
}

// toPage carries what the X server sends, until either side ends.
func toPage(page *websocket.Conn, rfb net.Conn) {
	b := make([]byte, pumpBuffer)
	for {
		n, err := rfb.Read(b)
		if n > 0 {
			if page.SetWriteDeadline(time.Now().Add(stall)) != nil || page.WriteMessage(websocket.BinaryMessage, b[:n]) != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
