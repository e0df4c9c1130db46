package httpapi_test

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/launch"
)

// slow is a broker with launches that wait to be released.
type slow struct {
	*fake
	begun   chan struct{}
	release chan struct{}
}

func newSlow() slow {
	return slow{fake: newFake(), begun: make(chan struct{}, 1000), release: make(chan struct{})}
}

func (s slow) broker() httpapi.Broker {
	b := s.fake.broker()
	b.Launcher = s
	return b
}

func (s slow) Launch(ctx context.Context, _ launch.Request) ([]launch.Result, error) {
	s.begun <- struct{}{}
	<-s.release
	return []launch.Result{{Session: assignedSession()}}, ctx.Err()
}

// TestPastTheBoundALaunchIsRefusedAtOnce, and other requests are still served.
func TestPastTheBoundALaunchIsRefusedAtOnce(t *testing.T) {
	const bound = 4
	b := newSlow()
	e := newEdge(t, b, func(o *httpapi.Options) { o.Bounds.Launches = bound })
	var wg sync.WaitGroup
	for range bound {
		wg.Go(func() {
			w := httptest.NewRecorder()
			r := httptest.NewRequest("POST", "/v1/sessions", strings.NewReader(launchBody))
			r.Header.Set("Content-Type", "application/json")
			e.handler.ServeHTTP(w, r)
			if w.Code != http.StatusCreated {
				t.Errorf("status %d of a launch within the bound", w.Code)
			}
		})
	}
	for range bound {
		<-b.begun
	}
	for range 3 {
		refused := e.do("POST", "/v1/sessions", launchBody)
		refused.expect(t, http.StatusServiceUnavailable, "overloaded")
		if refused.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	for _, path := range []string{"/v1/sessions", "/v1/health/live", "/metrics"} {
		if got := e.do("GET", path, ""); got.status != http.StatusOK {
			t.Errorf("%s beside launches at their bound: %d", path, got.status)
		}
	}
	close(b.release)
	wg.Wait()
	if got := e.do("POST", "/v1/sessions", launchBody); got.status != http.StatusCreated {
		t.Errorf("when there is room again: %d", got.status)
	}
}

// TestSlowClientsHoldNoPlace: a launch counts only once its body has arrived.
func TestSlowClientsHoldNoPlace(t *testing.T) {
	b := newSlow()
	close(b.release)
	// Fewer than the slow clients, and more than one: a launch holds its place for a moment
	// after its answer was sent.
	e := newEdge(t, b, func(o *httpapi.Options) { o.Bounds.Launches = 4 })
	s := httptest.NewServer(e.handler)
	defer s.Close()
	for range 20 {
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		r, err := http.Post(s.URL+"/v1/sessions", "application/json", strings.NewReader(launchBody))
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != http.StatusCreated {
			t.Fatalf("status %d beside clients that send slowly", r.StatusCode)
		}
	}
}

// TestTheOldestIdleConnectionsGo when there are too many, but none that is being served.
func TestTheOldestIdleConnectionsGo(t *testing.T) {
	const most = 10
	b := newSlow()
	e := newEdge(t, b)
	srv := httpapi.NewServer("", e.handler, most, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(listener) })
	defer wg.Wait()
	defer srv.Close()
	dial := func(send string) net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := c.Write([]byte(send)); err != nil {
			t.Fatal(err)
		}
		return c
	}
	served := dial("POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
		"130\r\n\r\n" + launchBody + strings.Repeat(" ", 130-len(launchBody)))
	<-b.begun
	var idle []net.Conn
	for range 5 * most {
		idle = append(idle, dial(""))
	}
	closed := 0
	for _, c := range idle[:4*most] {
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err != nil && !isTimeout(err) {
			closed++
		}
	}
	if closed != 4*most {
		t.Errorf("%d of the %d oldest idle connections were closed", closed, 4*most)
	}
	close(b.release)
	r, err := http.ReadResponse(bufio.NewReader(served), nil)
	if err != nil || r.StatusCode != http.StatusCreated {
		t.Errorf("the one that was being served: %v %v", r, err)
	}
	last, err := http.ReadResponse(bufio.NewReader(dialAndAsk(t, listener.Addr().String())), nil)
	if err != nil || last.StatusCode != http.StatusOK {
		t.Errorf("a new one: %v %v", last, err)
	}
}

func dialAndAsk(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := c.Write([]byte("GET /v1/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	return c
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}
