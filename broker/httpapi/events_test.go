package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/events"
	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestEventsAreServerSent: with ids, types and data, and a gap without an id. An event of
// another type than the requested ones only moves the client's id on.
func TestEventsAreServerSent(t *testing.T) {
	f := newFake()
	at := time.Date(2026, 11, 24, 6, 20, 0, 0, time.UTC)
	f.pages = []fakePage{
		{gap: true},
		{events: []staging.Event{
			{ID: "5-0", At: at, Type: staging.EventClaimed, Session: "gr-1", Pool: "p"},
			{ID: "5-1", At: at, Type: staging.EventEnded, Session: "gr-1", Reason: "a\nb"},
			{ID: "5-2", At: at, Type: staging.EventPending, Session: "gr-2"},
		}},
		{},
	}
	ending, end := context.WithCancel(t.Context())
	time.AfterFunc(200*time.Millisecond, end)
	e := newEdge(t, f, func(o *httpapi.Options) { o.Ending = ending })
	got := e.do("GET", "/v1/events?type=claimed,ended", "", header("Last-Event-ID", "4-7"))
	want := "retry: 1000\n\n" +
		"event: gap\ndata: {\"type\":\"gap\",\"reason\":\"what happened after the Last-Event-ID is not all kept; read the lists anew\"}\n\n" +
		"id: 5-0\nevent: claimed\ndata: {\"id\":\"5-0\",\"type\":\"claimed\",\"at\":\"2026-11-24T06:20:00Z\",\"session\":\"gr-1\",\"staging\":\"p\"}\n\n" +
		"id: 5-1\nevent: ended\ndata: {\"id\":\"5-1\",\"type\":\"ended\",\"at\":\"2026-11-24T06:20:00Z\",\"session\":\"gr-1\",\"reason\":\"a\\nb\"}\n\n" +
		"id: 5-2\n\n" +
		": nothing new\n\n"
	if string(got.body) != want {
		t.Errorf("got:\n%s\nwant:\n%s", got.body, want)
	}
	if f.after != "4-7" || got.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("followed after %q, as %s", f.after, got.header.Get("Content-Type"))
	}
	e.do("GET", "/v1/events", "", header("Last-Event-ID", "yesterday")).expect(t, 400, "invalid_parameter", "Last-Event-ID")
	f.fail = &refusal.Error{Kind: refusal.RedisUnavailable, Detail: "away"}
	e.do("GET", "/v1/events", "").expect(t, 503, "redis_unavailable")
}

// TestEventsAreFiltered: an event must fit all that is asked for; those that do not only move
// the client's id on.
func TestEventsAreFiltered(t *testing.T) {
	for query, want := range map[string]string{
		"session=gr-1":                "1-0 3-0",
		"staging=p":                   "1-0 2-0",
		"user=u-1":                    "1-0 4-0",
		"zone=east":                   "1-0 2-0 4-0",
		"zone=east&user=u-1":          "1-0 4-0",
		"user=u-1&type=assigned":      "1-0",
		"staging=p&zone=west":         "",
		"session=gr-1&staging=p":      "1-0",
		"user=u-2&type=ended,claimed": "3-0",
	} {
		f := newFake()
		f.pages = []fakePage{{events: []staging.Event{
			{ID: "1-0", Type: staging.EventAssigned, Session: "gr-1", Pool: "p", Zone: "east", User: "u-1"},
			{ID: "2-0", Type: staging.EventConditions, Pool: "p", Zone: "east"},
			{ID: "3-0", Type: staging.EventEnded, Session: "gr-1", Zone: "west", User: "u-2"},
			{ID: "4-0", Type: staging.EventViolation, Zone: "east", User: "u-1"},
		}}}
		ending, end := context.WithCancel(t.Context())
		f.drained = end
		e := newEdge(t, f, func(o *httpapi.Options) { o.Ending = ending })
		var got []string
		for m := range strings.SplitSeq(string(e.do("GET", "/v1/events?"+query, "").body), "\n\n") {
			if id, _, ok := strings.Cut(m, "\nevent: "); ok {
				got = append(got, strings.TrimPrefix(id, "id: "))
			}
		}
		end()
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s: %q, want %q", query, s, want)
		}
	}
}

// TestAuditEventsAreRefusedByRole: a stream without any would look like nothing had happened.
func TestAuditEventsAreRefusedByRole(t *testing.T) {
	token, secret := access.NewToken(access.TokenRequest{Name: "n", Role: access.Viewer}, time.Now())
	e := newEdge(t, newFake(), func(o *httpapi.Options) {
		o.Guard = access.Guard{On: true, Tokens: func() *access.Tokens { return access.NewTokens([]access.Token{token}, 1, nil) }}
	})
	got := e.do("GET", "/v1/events?type=ended,audit", "", header("Authorization", "Bearer "+secret))
	if p := got.problem(t); got.status != 403 || p.Code != "role_needed" || p.Detail != "to see events of the type audit needs the role admin; this token has viewer" {
		t.Errorf("%d %+v", got.status, p)
	}
}

// revoking returns a page of events, and then revokes the token of the client that follows
// them.
type revoking struct {
	*fake
	revoke func()
}

func (r revoking) broker() httpapi.Broker {
	b := r.fake.broker()
	b.Events = r
	return b
}

func (r revoking) Follow(context.Context, string) (events.Stream, error) {
	return &revokingStream{r.revoke, 0}, nil
}

type revokingStream struct {
	revoke func()
	pages  int
}

func (s *revokingStream) Next(ctx context.Context, _ time.Duration) ([]staging.Event, bool, error) {
	if s.pages++; s.pages == 2 {
		s.revoke()
	}
	return []staging.Event{{ID: fmt.Sprintf("%d-0", s.pages), Type: staging.EventClaimed}}, false, ctx.Err()
}

func (*revokingStream) Close() {}

// TestAStreamEndsWithItsToken: a client gets no event that happens after its token was
// revoked or has expired.
func TestAStreamEndsWithItsToken(t *testing.T) {
	token, secret := access.NewToken(access.TokenRequest{Name: "n", Role: access.Viewer}, time.Now())
	gone := token
	gone.ExpiresAt = time.Now().Add(-time.Second)
	for how, after := range map[string][]access.Token{"revoked": nil, "expired": {gone}} {
		var tokens atomic.Pointer[access.Tokens]
		tokens.Store(access.NewTokens([]access.Token{token}, 1, nil))
		revoke := func() { tokens.Store(access.NewTokens(after, 2, nil)) }
		// If the stream does not end, the test does.
		ending, end := context.WithTimeout(t.Context(), 2*time.Second)
		e := newEdge(t, revoking{newFake(), revoke}, func(o *httpapi.Options) {
			o.Ending, o.Guard = ending, access.Guard{On: true, Tokens: tokens.Load}
		})
		got := string(e.do("GET", "/v1/events", "", header("Authorization", "Bearer "+secret)).body)
		end()
		if !strings.Contains(got, "id: 1-0") || strings.Contains(got, "id: 2-0") {
			t.Errorf("%s after the first event, it was sent:\n%.400s", how, got)
		}
	}
}

// TestALoginFollowsTheEvents as a bearer token does, until its token is revoked.
func TestALoginFollowsTheEvents(t *testing.T) {
	token, secret := access.NewToken(access.TokenRequest{Name: "n", Role: access.Viewer}, time.Now())
	var tokens atomic.Pointer[access.Tokens]
	tokens.Store(access.NewTokens([]access.Token{token}, 1, nil))
	ending, end := context.WithTimeout(t.Context(), 2*time.Second)
	defer end()
	f := revoking{newFake(), func() {}}
	var page int
	f.revoke = func() {
		if page++; page == 1 {
			return // the second page is still sent
		}
		tokens.Store(access.NewTokens(nil, 2, nil))
	}
	e := newEdge(t, f, func(o *httpapi.Options) {
		o.Ending, o.Guard = ending, access.Guard{
			On: true, Tokens: tokens.Load,
			Keys: func(context.Context) (staging.SigningKeys, error) {
				return staging.SigningKeys{{Key: []byte("shared by all brokers")}}, nil
			},
		}
	})
	login := e.do("POST", "/v1/login", `{"token":"`+secret+`"}`)
	if login.status != 204 {
		t.Fatalf("%d %s", login.status, login.body)
	}
	c := cookies(login)[0]
	with := func(r *http.Request) { r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value}) }
	if got := string(e.do("GET", "/v1/events", "", with).body); !strings.Contains(got, "id: 2-0") {
		t.Errorf("a login was sent:\n%.400s", got)
	}
	tokens.Store(access.NewTokens(nil, 3, nil))
	if got := e.do("GET", "/v1/events", "", with); got.status != 401 {
		t.Errorf("a login of a revoked token: %d %.400s", got.status, got.body)
	}
}

// endless returns events without end: a client that does not read them is soon behind.
type endless struct{ *fake }

func (e endless) broker() httpapi.Broker {
	b := e.fake.broker()
	b.Events = e
	return b
}

func (endless) Follow(context.Context, string) (events.Stream, error) {
	return endlessStream{}, nil
}

type endlessStream struct{}

func (endlessStream) Next(ctx context.Context, _ time.Duration) ([]staging.Event, bool, error) {
	return []staging.Event{{ID: "1-1", Type: staging.EventHookFailed, Stdout: strings.Repeat("x", 4096)}}, false, ctx.Err()
}

func (endlessStream) Close() {}

// TestAConsumerThatDoesNotReadIsDropped, and its place is free again.
func TestAConsumerThatDoesNotReadIsDropped(t *testing.T) {
	o := httpapi.Options{Log: newEdge(t, newFake()).logger(), Bounds: httpapi.Bounds{Streams: 1}}
	s := httptest.NewServer(httpapi.New(endless{newFake()}.broker(), o))
	t.Cleanup(s.Close)
	slow, err := http.Get(s.URL + "/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Body.Close()
	if _, err := bufio.NewReader(slow.Body).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	status := func() int {
		r, err := http.Get(s.URL + "/v1/events")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		return r.StatusCode
	}
	if got := status(); got != 503 {
		t.Errorf("past its bound a second stream is answered %d, want 503", got)
	}
	deadline := time.Now().Add(time.Minute)
	for status() != 200 {
		if time.Now().After(deadline) {
			t.Fatal("a consumer that does not read holds its place for more than a minute")
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func TestASessionIsWaitedFor(t *testing.T) {
	f := newFake()
	f.sessions["gr-1"] = assignedSession()
	e := newEdge(t, f)
	got := e.do("GET", "/v1/sessions/gr-1", "")
	if got.header.Get("X-Greenroom-Index") != "41000" || f.index != 0 {
		t.Errorf("index %q, read with %d", got.header.Get("X-Greenroom-Index"), f.index)
	}
	e.do("GET", "/v1/sessions/gr-1?index=41000&wait=20ms", "")
	if f.index != 41000 || f.wait != 20*time.Millisecond {
		t.Errorf("the wait is %s from %d", f.wait, f.index)
	}
	e.do("GET", "/v1/sessions/gr-1?index=41000", "")
	if f.wait != 30*time.Second {
		t.Errorf("without a wait it is %s", f.wait)
	}
	e.do("GET", "/v1/sessions/gr-1?index=-1", "").expect(t, 400, "invalid_parameter", "index")
	e.do("GET", "/v1/sessions/gr-1?index=1&wait=11m", "").expect(t, 400, "invalid_parameter", "wait")
	e.do("GET", "/v1/sessions/gr-1?index=soon", "").expect(t, 400, "invalid_parameter")
}

// TestAWaitEndsWithTheBroker, and has a bound of its own meanwhile.
func TestAWaitEndsWithTheBroker(t *testing.T) {
	f := newFake()
	f.sessions["gr-1"] = assignedSession()
	f.change = make(chan struct{})
	ending, end := context.WithCancel(t.Context())
	e := newEdge(t, f, func(o *httpapi.Options) {
		o.Ending = ending
		o.Bounds = httpapi.Bounds{Waits: 1, Others: 1}
	})
	done := make(chan answer)
	go func() { done <- e.do("GET", "/v1/sessions/gr-1?index=7&wait=10m", "") }()
	for {
		f.mu.Lock()
		waiting := f.index == 7
		f.mu.Unlock()
		if waiting {
			break
		}
		time.Sleep(time.Millisecond)
	}
	e.do("GET", "/v1/sessions/gr-1?index=7&wait=10m", "").expect(t, 503, "overloaded")
	if got := e.do("GET", "/v1/zones", ""); got.status != 200 {
		t.Errorf("beside a wait a list is answered %d", got.status)
	}
	end()
	if got := <-done; got.status != 200 {
		t.Errorf("the wait ended with %d %s", got.status, got.body)
	}
}
