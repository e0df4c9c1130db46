package gateway_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"github.com/greenroom/greenroom/broker/events"
	"github.com/greenroom/greenroom/broker/gateway"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errAway = errors.New("the server is away")

// world is a gateway on loopback, with servers that a test can take away.
type world struct {
	*gateway.Gateway
	t      testing.TB
	links  gateway.Links
	server *httptest.Server
	log    *safeBuffer

	mu       sync.Mutex
	sessions map[string]staging.Session
	reads    int
	used     map[string]int
	ended    []string
	codes    map[string]bool
	keys     staging.SigningKeys
	locked   string
	// away are the servers that do not answer: redis, consul, or all.
	away    string
	events  chan staging.Event
	sockets int
	last    map[int]int
	good    int
}

// newWorld returns a gateway by path, or by host below localhost.
func newWorld(t testing.TB, domain string, o gateway.Options) *world {
	t.Helper()
	return newWorldBy(t, "http", domain, o)
}

// newWorldBy returns a gateway to which browsers speak http or https.
func newWorldBy(t testing.TB, scheme, domain string, o gateway.Options) *world {
	t.Helper()
	w := &world{
		t: t, sessions: map[string]staging.Session{}, used: map[string]int{}, codes: map[string]bool{}, last: map[int]int{},
		keys: staging.SigningKeys{{Key: []byte("the gateway's key")}}, events: make(chan staging.Event, 16), log: &safeBuffer{},
	}
	log := logrus.New()
	log.SetOutput(w.log)
	w.server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.ServeHTTP(rw, r) }))
	site, err := gateway.NewSite(scheme+"://"+w.server.Listener.Addr().String(), domain)
	if err != nil {
		t.Fatal(err)
	}
	o.Site = site
	w.links = gateway.Links{Site: site, Registry: w}
	w.Gateway = gateway.New(gateway.Parts{Sessions: w, Registry: w, Codes: w, Events: w, Meter: w, Log: logrus.NewEntry(log)}, o)
	if scheme == "https" {
		w.server.StartTLS()
	} else {
		w.server.Start()
	}
	ctx, stop := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { w.Run(ctx) })
	t.Cleanup(func() {
		stop()
		run.Wait()
		w.server.Close()
	})
	return w
}

// session adds a session that the handler serves.
func (w *world) session(id string, handler http.Handler) staging.Session {
	w.t.Helper()
	upstream := httptest.NewServer(handler)
	w.t.Cleanup(upstream.Close)
	return w.sessionAt(id, upstream.Listener.Addr().String())
}

// sessionAt adds a session with an address.
func (w *world) sessionAt(id, address string) staging.Session {
	w.t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		w.t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		w.t.Fatal(err)
	}
	s := staging.Session{
		ID: id, State: staging.Assigned, Origin: staging.Staged, Zone: "east", Image: "demo", Claim: "claim-" + id,
		User: &staging.User{ID: "u " + id, Name: "Älice"}, Address: host, Ports: map[string]int{"http": number},
	}
	w.put(s)
	return s
}

func (w *world) put(s staging.Session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sessions[s.ID] = s
}

func (w *world) takeAway(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away = what
}

// Assigned implements gateway.Sessions.
func (w *world) Assigned(_ context.Context, id string) (staging.Session, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads++
	if w.away == "all" {
		return staging.Session{}, refusal.NoConsul(errAway)
	}
	s, ok := w.sessions[id]
	if !ok {
		return s, &refusal.Error{Kind: refusal.NotFound}
	}
	return s, nil
}

// Used implements gateway.Sessions.
func (w *world) Used(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.used[id]++
}

// End implements gateway.Sessions.
func (w *world) End(ctx context.Context, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = append(w.ended, id+" by "+access.CallOf(ctx).Caller.Who())
	return nil
}

// Keys implements gateway.Registry.
func (w *world) Keys(_ context.Context, name string) (staging.SigningKeys, error) {
	if name != staging.GatewaySecret {
		w.t.Errorf("the keys %q were read", name)
	}
	return w.keys, nil
}

// UserLocked implements gateway.Registry.
func (w *world) UserLocked(_ context.Context, id string) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return id == w.locked, nil
}

// Redeem implements gateway.Codes.
func (w *world) Redeem(_ context.Context, id string, life time.Duration) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away != "" {
		return false, errAway
	}
	if life < gateway.CodeLife {
		w.t.Errorf("a code is remembered for %s", life)
	}
	first := !w.codes[id]
	w.codes[id] = true
	return first, nil
}

// Follow implements gateway.Events.
func (w *world) Follow(context.Context, string) (events.Stream, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away != "" {
		return nil, errAway
	}
	return stream{w}, nil
}

type stream struct{ *world }

// Next implements events.Stream.
func (s stream) Next(ctx context.Context, _ time.Duration) ([]staging.Event, bool, error) {
	select {
	case e := <-s.events:
		return []staging.Event{e}, false, nil
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
}

// Close implements events.Stream.
func (stream) Close() {}

// Watch implements gateway.Meter.
func (*world) Watch(_, _ func() int) {}

// Request implements gateway.Meter.
func (w *world) Request(status int, _ time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last[status]++
}

// Code implements gateway.Meter.
func (w *world) Code(accepted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if accepted {
		w.good++
	}
}

// Socket implements gateway.Meter.
func (w *world) Socket(change int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sockets += change
}

// browser is a client with cookies, which does not follow redirects.
type browser struct {
	*http.Client
	t testing.TB
}

func newBrowser(t testing.TB) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DialContext: loopback, MaxIdleConnsPerHost: 64, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t: t, Client: &http.Client{
		Jar: jar, Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// loopback dials every name of localhost there.
func loopback(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err == nil && strings.HasSuffix(host, "localhost") {
		address = net.JoinHostPort("127.0.0.1", port)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// page is an answer.
type page struct {
	status int
	header http.Header
	body   string
}

// get sends a request with further headers, KEY: VALUE.
func (b *browser) get(at string, headers ...string) page {
	b.t.Helper()
	return b.send(http.MethodGet, at, nil, headers...)
}

func (b *browser) send(method, at string, body io.Reader, headers ...string) page {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, at, body)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, h := range headers {
		key, value, _ := strings.Cut(h, ": ")
		if key == "Host" {
			r.Host = value
			continue
		}
		r.Header.Add(key, value)
	}
	answer, err := b.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return page{answer.StatusCode, answer.Header, string(content)}
}

// link returns a fresh link to a session.
func (w *world) link(s staging.Session, label, path string) string {
	w.t.Helper()
	l, err := w.links.Make(w.t.Context(), s, label, path)
	if err != nil {
		w.t.Fatal(err)
	}
	return l.URL
}

// open opens a session in a browser by a fresh link, and returns its address.
func (w *world) open(b *browser, s staging.Session) string {
	w.t.Helper()
	at := w.link(s, "", "")
	got := b.get(at)
	if got.status != http.StatusSeeOther {
		w.t.Fatalf("the link was answered with %d %s", got.status, got.body)
	}
	u, err := url.Parse(at)
	if err != nil {
		w.t.Fatal(err)
	}
	to, err := u.Parse(got.header.Get("Location"))
	if err != nil {
		w.t.Fatal(err)
	}
	return to.String()
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to this: " + what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// safeBuffer is a log that may be read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

// Write implements io.Writer.
func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
