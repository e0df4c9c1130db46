package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/access"
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

// TestSlowReadersOfOpenPagesCutNobodyOff: over HTTP/1.1 and HTTP/2, strangers ask for open
// pages and do not read them. Access checks and calls with a token are answered.
func TestSlowReadersOfOpenPagesCutNobodyOff(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("http2=%t", h2), func(t *testing.T) {
			g, secret := loginGuard(access.Viewer)
			log := newEdge(t, newFake()).logger()
			s := httptest.NewUnstartedServer(httpapi.New(newFake().broker(), httpapi.Options{
				Log: log, Guard: g, Bounds: httpapi.Bounds{Open: 16, OpenPerAddress: 8, Others: 16, Checks: 16},
			}))
			s.EnableHTTP2 = h2
			s.StartTLS()
			t.Cleanup(s.Close)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var begun sync.WaitGroup
			for range 64 {
				begun.Go(func() {
					r, err := http.NewRequestWithContext(ctx, "GET", s.URL+"/v1/openapi.yaml", http.NoBody)
					must(t, err)
					client := s.Client()
					if resp, err := client.Do(r); err == nil { // the last ones are refused
						t.Cleanup(func() { resp.Body.Close() })
						one := make([]byte, 1)
						_, _ = resp.Body.Read(one) // and no more
					}
				})
			}
			begun.Wait()
			for range 32 {
				for path, want := range map[string]int{"/v1/sessions/gr-1/authorize": 200, "/v1/self": 200, "/v1/health/live": 200} {
					r, err := http.NewRequestWithContext(ctx, "GET", s.URL+path, http.NoBody)
					must(t, err)
					if path == "/v1/self" {
						r.Header.Set("Authorization", "Bearer "+secret)
					}
					r.Header.Set("X-Original-URI", "/?token=tok")
					resp, err := s.Client().Do(r)
					must(t, err)
					resp.Body.Close()
					if resp.StatusCode != want && !(path == "/v1/sessions/gr-1/authorize" && resp.StatusCode == 401) {
						t.Fatalf("%s beside slow readers: %d", path, resp.StatusCode)
					}
				}
			}
		})
	}
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
