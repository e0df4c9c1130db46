package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/sessions"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestALoginOfNonsenseCostsLittle: a stranger's body is as large as a login needs, and its
// faults are not all told.
func TestALoginOfNonsenseCostsLittle(t *testing.T) {
	g, _ := loginGuard(access.Viewer)
	e := newEdge(t, newFake(), func(o *httpapi.Options) { o.Guard = g })
	fields := func(bytes int) string {
		var body strings.Builder
		body.WriteString(`{"token":"x"`)
		for i := 0; body.Len() < bytes; i++ {
			fmt.Fprintf(&body, `,"f%d":1`, i)
		}
		return body.String() + "}"
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	e.do("POST", "/v1/login", fields(1<<20)).expect(t, 413, "body_too_large")
	got := e.do("POST", "/v1/login", fields(7<<10))
	if got.status != 400 || got.problem(t).Code != "unknown_field" {
		t.Errorf("%d %s", got.status, got.body)
	}
	runtime.ReadMemStats(&after)
	if n := len(got.problem(t).Errors); n > 20 || len(got.body) > 16<<10 || !strings.Contains(got.problem(t).Detail, " more") {
		t.Errorf("%d faults in %d bytes", n, len(got.body))
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
		t.Errorf("two logins of nonsense allocated %d bytes", used)
	}
	long := e.do("POST", "/v1/login", `{"token":"x","`+strings.Repeat("y", 4<<10)+`":1}`)
	if n := len(long.body); n > 2<<10 {
		t.Errorf("an answer of %d bytes repeats the name of a field", n)
	}
}

// TestBodiesHaveABoundInMemory: past it a body is refused before it is read.
func TestBodiesHaveABoundInMemory(t *testing.T) {
	e := newEdge(t, newFake())
	s := httptest.NewServer(e.handler)
	t.Cleanup(s.Close)
	deadline := time.Now().Add(20 * time.Second)
	for {
		// Each holds the room of 16 MiB while its body is awaited.
		_, err := dial(t, s).Write([]byte("POST /v1/resources/check HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 16777216\r\n\r\n{"))
		must(t, err)
		got := e.do("PUT", "/v1/zones/east", `{"datacenters":["dc1"]}`)
		if got.status == http.StatusServiceUnavailable {
			got.expect(t, 503, "overloaded")
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("beside 64 MiB of bodies: %d %s", got.status, got.body)
		}
		time.Sleep(time.Millisecond)
	}
	// A login has room of its own.
	if got := e.do("POST", "/v1/login", `{"token":"x"}`); got.status != 204 {
		t.Errorf("a login beside them: %d %s", got.status, got.body)
	}
}

func dial(t *testing.T, s *httptest.Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// TestSlowReadersOfOpenPagesCutNobodyOff: over HTTP/1.1 and HTTP/2, strangers request open
// pages and do not read them, until they hold every place for such pages. Access checks and
// calls with a token are answered, and the p99 of access checks stays near what it was before.
func TestSlowReadersOfOpenPagesCutNobodyOff(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("http2=%t", h2), func(t *testing.T) {
			const places = 16
			g, secret := loginGuard(access.Viewer)
			e := newEdge(t, newFake(), func(o *httpapi.Options) {
				o.Guard = g
				o.Bounds = httpapi.Bounds{Open: places, OpenPerAddress: places, Others: places, Checks: places}
			})
			s := httptest.NewUnstartedServer(e.handler)
			s.Listener = smallBuffers{s.Listener}
			s.EnableHTTP2 = h2
			s.StartTLS()
			t.Cleanup(s.Close)

			readers := slowReaders(s, h2)
			check := func() time.Duration {
				t.Helper()
				begin := time.Now()
				resp := get(t, s.Client(), s.URL+"/v1/sessions/gr-1/authorize", header("X-Original-URI", "/?token=right"))
				took := time.Since(begin)
				resp.Body.Close()
				if resp.StatusCode != 200 {
					t.Fatalf("an access check: %d", resp.StatusCode)
				}
				return took
			}
			const rounds, perRound = 16, 16
			var before, beside []time.Duration
			check() // connects
			for range rounds * perRound {
				before = append(before, check())
			}
			for range rounds {
				// A place is free again after a while, so each round takes those that are.
				holdOpenPlaces(t, readers, s.URL, h2, places)
				for range perRound {
					beside = append(beside, check())
				}
				for path, token := range map[string]string{"/v1/self": secret, "/v1/health/live": ""} {
					resp := get(t, s.Client(), s.URL+path, header("Authorization", "Bearer "+token))
					resp.Body.Close()
					if resp.StatusCode != 200 {
						t.Fatalf("%s beside slow readers: %d", path, resp.StatusCode)
					}
				}
			}
			without, with := p99(before), p99(beside)
			t.Logf("p99 of access checks: %v without slow readers, %v beside them", without, with)
			// The second is for what else the machine does. A check that waited for a reader would
			// take as long as a reader may hold a place, which is much longer.
			if with > 20*without+time.Second {
				t.Errorf("p99 of access checks: %v without slow readers, %v beside them", without, with)
			}
		})
	}
}

// smallBuffers accepts connections that keep little of what their client does not read.
type smallBuffers struct{ net.Listener }

func (l smallBuffers) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return c, c.(*net.TCPConn).SetWriteBuffer(4 << 10)
}

// slowReaders is a client of s that receives little of an answer until its body is read: its
// sockets' buffers and, over HTTP/2, the windows of its streams are small.
func slowReaders(s *httptest.Server, h2 bool) *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:   s.Client().Transport.(*http.Transport).TLSClientConfig.Clone(),
		ForceAttemptHTTP2: h2,
		HTTP2:             &http.HTTP2Config{MaxReceiveBufferPerStream: 1 << 10},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return c, c.(*net.TCPConn).SetReadBuffer(4 << 10)
		},
	}}
}

// holdOpenPlaces requests open pages, without reading them, until one is refused.
func holdOpenPlaces(t *testing.T, readers *http.Client, url string, h2 bool, places int) {
	t.Helper()
	for range 8 * places {
		resp := get(t, readers, url+"/v1/openapi.yaml")
		t.Cleanup(func() { resp.Body.Close() })
		if got := resp.ProtoMajor == 2; got != h2 {
			t.Fatalf("a slow reader has %s", resp.Proto)
		}
		switch resp.StatusCode {
		case http.StatusOK:
		case http.StatusServiceUnavailable:
			return
		default:
			t.Fatalf("an open page: %d", resp.StatusCode)
		}
	}
	t.Fatalf("%d slow readers do not hold %d places", 8*places, places)
}

func get(t *testing.T, client *http.Client, url string, adjust ...func(*http.Request)) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, http.NoBody)
	must(t, err)
	for _, a := range adjust {
		a(r)
	}
	resp, err := client.Do(r)
	must(t, err)
	return resp
}

func p99(took []time.Duration) time.Duration {
	return slices.Sorted(slices.Values(took))[len(took)*99/100]
}

// TestAccessChecksHavePlacesOfTheirOwn: open pages take none of them, and they take none of
// the open pages'.
func TestAccessChecksHavePlacesOfTheirOwn(t *testing.T) {
	const places = 2
	g, secret := loginGuard(access.Viewer)
	bounded := func(o *httpapi.Options) {
		o.Guard = g
		o.Bounds.Open, o.Bounds.OpenPerAddress, o.Bounds.Checks, o.Bounds.Others = places, places, places, places
	}
	const checkPath, page = "/v1/sessions/gr-1/authorize", "/v1/docs"
	right := header("X-Greenroom-Token", "right")

	t.Run("open pages", func(t *testing.T) {
		e := newEdge(t, newFake(), bounded)
		begun, release := make(chan struct{}, 100), make(chan struct{})
		var held sync.WaitGroup
		defer held.Wait()
		defer close(release)
		for range places {
			held.Go(func() {
				e.handler.ServeHTTP(stuckWriter{httptest.NewRecorder(), begun, release}, httptest.NewRequest("GET", page, http.NoBody))
			})
		}
		receive(t, begun, places)
		e.do("GET", page, "").expect(t, 503, "overloaded")
		for range 2 * places {
			if got := e.do("GET", checkPath, "", right); got.status != 200 {
				t.Fatalf("an access check beside open pages at their bound: %d %s", got.status, got.body)
			}
		}
	})
	t.Run("access checks", func(t *testing.T) {
		b := slowChecks{fake: newFake(), begun: make(chan struct{}, 100), release: make(chan struct{})}
		e := newEdge(t, b, bounded)
		var held sync.WaitGroup
		defer held.Wait()
		release := sync.OnceFunc(func() { close(b.release) })
		defer release()
		for range places {
			held.Go(func() {
				w := httptest.NewRecorder()
				r := httptest.NewRequest("GET", checkPath, http.NoBody)
				right(r)
				e.handler.ServeHTTP(w, r)
				if w.Code != 200 {
					t.Errorf("an access check within the bound: %d", w.Code)
				}
			})
		}
		receive(t, b.begun, places)
		// The request of one that is not refused has ended, so that the test does not wait for it.
		ended, end := context.WithCancel(t.Context())
		end()
		e.do("GET", checkPath, "", right, func(r *http.Request) { *r = *r.WithContext(ended) }).expect(t, 503, "overloaded")
		if got := e.do("GET", page, ""); got.status != 200 {
			t.Errorf("an open page beside access checks at their bound: %d %s", got.status, got.body)
		}
		if got := e.do("POST", "/v1/login", `{"token":"`+secret+`"}`); got.status != 204 {
			t.Errorf("a login beside access checks at their bound: %d %s", got.status, got.body)
		}
		release()
		held.Wait()
		if got := e.do("GET", checkPath, "", right); got.status != 200 {
			t.Errorf("an access check when there is room again: %d %s", got.status, got.body)
		}
	})
}

// receive waits for n values of a channel.
func receive(t *testing.T, from <-chan struct{}, n int) {
	t.Helper()
	late := time.After(20 * time.Second)
	for i := range n {
		select {
		case <-from:
		case <-late:
			t.Fatalf("%d of %d requests hold a place", i, n)
		}
	}
}

// stuckWriter is a client that reads nothing before its release.
type stuckWriter struct {
	http.ResponseWriter
	begun, release chan struct{}
}

func (w stuckWriter) Write(b []byte) (int, error) {
	w.begun <- struct{}{}
	<-w.release
	return w.ResponseWriter.Write(b)
}

// slowChecks is a broker with access checks that wait to be released.
type slowChecks struct {
	*fake
	begun, release chan struct{}
}

func (s slowChecks) broker() httpapi.Broker {
	b := s.fake.broker()
	b.Sessions = slowCheckedSessions{fakeSessions{s.fake}, s}
	return b
}

type slowCheckedSessions struct {
	fakeSessions
	slow slowChecks
}

func (s slowCheckedSessions) Authorize(ctx context.Context, a sessions.Access) (staging.Session, error) {
	s.slow.begun <- struct{}{}
	select {
	case <-s.slow.release:
	case <-ctx.Done():
		return staging.Session{}, ctx.Err()
	}
	return s.fakeSessions.Authorize(ctx, a)
}

// TestAStrangersAddressHasItsShareOfTheOpenPlaces, and no more.
func TestAStrangersAddressHasItsShareOfTheOpenPlaces(t *testing.T) {
	e := newEdge(t, newFake(), func(o *httpapi.Options) { o.Bounds.Open, o.Bounds.OpenPerAddress = 4, 2 })
	s := httptest.NewServer(e.handler)
	t.Cleanup(s.Close)
	from := func(address string) func(*http.Request) {
		return func(r *http.Request) { r.RemoteAddr = address + ":9" }
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		// One that arrives while the request below has a place is refused, so more than two
		// may be needed.
		_, err := dial(t, s).Write([]byte("POST /v1/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"))
		must(t, err)
		got := e.do("GET", "/v1/docs", "", from("127.0.0.1"))
		if got.status == http.StatusServiceUnavailable {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the third request of an address: %d", got.status)
		}
		time.Sleep(time.Millisecond) // a server that shares one processor with this loop may need it
	}
	if got := e.do("GET", "/v1/docs", "", from("127.0.0.2")); got.status != 200 {
		t.Errorf("another address: %d", got.status)
	}
	if got := e.do("GET", "/v1/sessions", "", from("127.0.0.1")); got.status != 200 {
		t.Errorf("a call of the same address that is not open: %d", got.status)
	}
}

// TestWrongTokensAreThrottledAndDoNotFillTheLog: a valid token from the same address counts
// as ever.
func TestWrongTokensAreThrottledAndDoNotFillTheLog(t *testing.T) {
	g, secret := loginGuard(access.Viewer)
	f := newFake()
	e := newEdge(t, f, func(o *httpapi.Options) { o.Guard = g })
	throttled := 0
	for i := range 500 {
		how := func() answer { return e.do("GET", "/v1/sessions", "", header("Authorization", "Bearer grt_wrong")) }
		if i%2 == 0 {
			how = func() answer { return e.do("POST", "/v1/login", `{"token":"grt_wrong"}`) }
		}
		switch got := how(); got.status {
		case 401:
		case 429:
			throttled++
			if got.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		default:
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	if throttled < 400 {
		t.Errorf("%d of 500 wrong tokens were throttled", throttled)
	}
	debug := strings.Count(e.log.String(), "debug")
	if lines := strings.Count(e.log.String(), "\n") - debug; lines > 200 {
		t.Errorf("500 wrong tokens wrote %d lines", lines)
	}
	if got := e.do("GET", "/v1/self", "", header("Authorization", "Bearer "+secret)); got.status != 200 {
		t.Errorf("a valid token from the same address: %d %s", got.status, got.body)
	}
	if got := e.do("GET", "/v1/self", "", header("Authorization", "Bearer grt_wrong"), func(r *http.Request) { r.RemoteAddr = "127.0.0.9:1" }); got.status != 401 {
		t.Errorf("another address: %d", got.status)
	}
}

// TestTokensThatCannotBeCheckedAreThrottled: tokens of made up keys, which only the issuer could
// tell from those of new ones.
func TestTokensThatCannotBeCheckedAreThrottled(t *testing.T) {
	g, secret := loginGuard(access.Viewer)
	g.Issuer = canned{}
	e := newEdge(t, newFake(), func(o *httpapi.Options) { o.Guard = g })
	statuses := map[int]int{}
	for range 200 {
		statuses[e.do("GET", "/v1/sessions", "", header("Authorization", "Bearer a.way.x")).status]++
	}
	if statuses[503] == 0 || statuses[429] < 150 || statuses[503]+statuses[429] != 200 {
		t.Errorf("200 tokens that cannot be checked were answered with %v", statuses)
	}
	if lines := strings.Count(e.log.String(), "\n") - strings.Count(e.log.String(), "debug"); lines > 100 {
		t.Errorf("they wrote %d lines", lines)
	}
	if got := e.do("GET", "/v1/self", "", header("Authorization", "Bearer "+secret)); got.status != 200 {
		t.Errorf("a valid token from the same address: %d %s", got.status, got.body)
	}
}

// TestSeveralOriginsAreNoneThatIsAllowed: all are passed on, so that they match no domain.
func TestSeveralOriginsAreNoneThatIsAllowed(t *testing.T) {
	f := newFake()
	e := newEdge(t, f)
	e.do("GET", "/v1/sessions/gr-1/authorize", "", header("X-Greenroom-Token", "right"), func(r *http.Request) {
		r.Header["Origin"] = []string{"https://app.example.org", "https://example.com"}
	})
	if want := "https://app.example.org, https://example.com"; f.access.Origin != want {
		t.Errorf("the origin is %q, want %q", f.access.Origin, want)
	}
}

// TestOneAddressHasHalfOfTheConnections: the others are for everybody else.
func TestOneAddressHasHalfOfTheConnections(t *testing.T) {
	s, mine := eightConnections(t, nil)
	open := 0
	for _, c := range mine {
		must(t, c.SetReadDeadline(time.Now().Add(300*time.Millisecond)))
		if _, err := bufio.NewReader(c).ReadByte(); err != nil && strings.Contains(err.Error(), "timeout") {
			open++
		}
	}
	if open > 4 {
		t.Errorf("one address has %d of 8 connections", open)
	}
	ask(t, dialFromAnother(t, s))
}

// eightConnections starts a server that keeps eight connections at most, and opens eight from
// one address, each of which was served once.
func eightConnections(t *testing.T, proxies httpapi.Proxies) (s *httptest.Server, all []net.Conn) {
	t.Helper()
	e := newEdge(t, newFake())
	s = httptest.NewUnstartedServer(e.handler)
	s.Config = httpapi.NewServer("", e.handler, 8, proxies)
	s.Start()
	t.Cleanup(s.Close)
	for range 8 {
		c := dial(t, s)
		ask(t, c)
		all = append(all, c)
	}
	return s, all
}

// dialFromAnother connects to a server from another address than dial does.
func dialFromAnother(t *testing.T, s *httptest.Server) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 7)}}).Dial("tcp", s.Listener.Addr().String())
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

// ask sends a request on a connection, and requires its answer.
func ask(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := c.Write([]byte("GET /v1/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"))
	must(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	must(t, err)
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// TestAnOpenBrokerOnLoopbackIsForThisMachineAlone: a page elsewhere whose name was made to mean
// this machine is its own origin for a browser.
func TestAnOpenBrokerOnLoopbackIsForThisMachineAlone(t *testing.T) {
	e := newEdge(t, newFake())
	s := httptest.NewServer(e.handler)
	t.Cleanup(s.Close)
	as := func(host, path string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+path, http.NoBody)
		must(t, err)
		r.Host = host
		resp, err := s.Client().Do(r)
		must(t, err)
		resp.Body.Close()
		return resp
	}
	for _, host := range []string{"evil.example", "evil.example:80", "127.0.0.1.evil.example", "10.0.0.1"} {
		if got := as(host, "/v1/sessions").StatusCode; got != 403 {
			t.Errorf("a call to %s: %d", host, got)
		}
		if got := as(host, "/v1/health/live").StatusCode; got != 200 {
			t.Errorf("health at %s: %d", host, got)
		}
	}
	for _, host := range []string{"127.0.0.1", "127.0.0.5:8080", "localhost:1", "[::1]:3", "green.localhost"} {
		got := as(host, "/v1/sessions")
		if got.StatusCode != 200 || got.Header.Get("X-Content-Type-Options") != "nosniff" || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("a call to %s: %d %v", host, got.StatusCode, got.Header)
		}
	}
}

// TestNoOtherSiteMakesTheFirstToken: bootstrap needs no token, so a page elsewhere could make a
// browser call it.
func TestNoOtherSiteMakesTheFirstToken(t *testing.T) {
	g, _ := loginGuard(access.Viewer)
	f := newFake()
	e := newEdge(t, f, func(o *httpapi.Options) { o.Guard = g })
	for _, h := range []func(*http.Request){header("Sec-Fetch-Site", "cross-site"), header("Origin", "https://evil.example")} {
		if got := e.do("POST", "/v1/bootstrap", "", h); got.status != 403 || got.problem(t).Code != "cross_origin" {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	if got := e.do("POST", "/v1/bootstrap", ""); got.status != 201 {
		t.Errorf("the command line: %d %s", got.status, got.body)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
