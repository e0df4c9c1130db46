package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestOneUserDoesNotHoldEveryLaunch: a launch may wait for minutes, also one whose client hung
// up, and holds a place of all launches for as long.
func TestOneUserDoesNotHoldEveryLaunch(t *testing.T) {
	f := newFake()
	begun, end := make(chan struct{}, 100), make(chan struct{})
	e := newEdge(t, waitingLauncher{f, begun, end}, func(o *httpapi.Options) { o.UserRate = 5 })
	launchFor := func(user string) answer {
		return e.do("POST", "/v1/sessions", fmt.Sprintf(`{"image":"demo","zone":"east","user":{"id":%q}}`, user))
	}
	answers := make(chan answer, 10)
	for range 10 {
		go func() { answers <- launchFor("u-1") }()
	}
	for range 10 {
		<-begun
	}
	launchFor("u-1").expect(t, 429, "rate_limited")
	go func() { answers <- launchFor("u-2") }()
	<-begun
	close(end)
	for range 11 {
		if got := <-answers; got.status != 201 {
			t.Errorf("a launch that waited: %d %s", got.status, got.body)
		}
	}
}

// waitingLauncher launches when end is closed.
type waitingLauncher struct {
	*fake
	begun chan<- struct{}
	end   <-chan struct{}
}

func (w waitingLauncher) broker() httpapi.Broker {
	b := w.fake.broker()
	b.Launcher = w
	return b
}

func (w waitingLauncher) Launch(ctx context.Context, r launch.Request) ([]launch.Result, error) {
	w.begun <- struct{}{}
	<-w.end
	return w.fake.Launch(ctx, r)
}

// TestOneUserDoesNotHoldEveryBodyOrWait: a user sends the beginning of many launches, and waits
// for a session many times, and a portal is served all the same. The bodies are expected, and
// never sent, so that a refusal is answered at once.
func TestOneUserDoesNotHoldEveryBodyOrWait(t *testing.T) {
	portal, secret := access.NewToken(access.TokenRequest{Name: "portal", Role: access.Launcher}, time.Now())
	g := guardOf(portal)
	g.Issuer = canned{"a.user.x": {Role: access.User, Subject: "u-9"}}
	f := newFake()
	theirs := assignedSession()
	theirs.User = &staging.User{ID: "u-9"}
	f.sessions["gr-1"], f.change = theirs, make(chan struct{})
	e := newEdge(t, f, func(o *httpapi.Options) { o.Guard, o.Bounds.Waits = g, 16 })
	s := httptest.NewServer(e.handler)
	t.Cleanup(func() { close(f.change); s.Close() })
	as := header("Authorization", "Bearer "+secret)
	for what, c := range map[string]struct {
		request string
		times   int
		other   func() answer
	}{
		"launches": {
			"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer a.user.x\r\nContent-Type: application/json\r\nContent-Length: 65536\r\nExpect: 100-continue\r\n\r\n", 200,
			func() answer {
				return e.do("POST", "/v1/sessions", `{"image":"demo","zone":"east","user":{"id":"other"}}`, as)
			},
		},
		"waits": {
			"GET /v1/sessions/gr-1?index=7&wait=1m HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer a.user.x\r\n\r\n", 16,
			func() answer { return e.do("GET", "/v1/sessions/gr-1?index=7&wait=1ms", "", as) },
		},
	} {
		refused := make(chan struct{}, c.times)
		for range c.times {
			conn := dial(t, s)
			_, err := conn.Write([]byte(c.request))
			must(t, err)
			go func() {
				if r, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
					if r.Body.Close(); r.StatusCode == http.StatusServiceUnavailable {
						refused <- struct{}{}
					}
				}
			}()
		}
		select {
		case <-refused: // the user has all of a share
		case <-time.After(time.Minute):
			t.Errorf("%s: none of %d was refused", what, c.times)
		}
		if got := c.other(); got.status != 200 && got.status != 201 {
			t.Errorf("%s: another caller's: %d %s", what, got.status, got.body)
		}
	}
}

// TestOneCallerHasAShareOfTheStreams: others follow the events all the same.
func TestOneCallerHasAShareOfTheStreams(t *testing.T) {
	greedy, secret := access.NewToken(access.TokenRequest{Name: "greedy", Role: access.Viewer}, time.Now())
	modest, other := access.NewToken(access.TokenRequest{Name: "modest", Role: access.Viewer}, time.Now())
	tokens := access.NewTokens([]access.Token{greedy, modest}, 1, nil)
	e := newEdge(t, newFake(), func(o *httpapi.Options) {
		o.Guard = access.Guard{On: true, Tokens: func() *access.Tokens { return tokens }}
		o.Bounds.Streams, o.Bounds.StreamsPerCaller = 4, 2
	})
	s := httptest.NewServer(e.handler)
	t.Cleanup(s.Close)
	follow := func(token string) int {
		r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/v1/events", nil)
		must(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		got, err := s.Client().Do(r)
		must(t, err)
		t.Cleanup(func() { _ = got.Body.Close() })
		return got.StatusCode
	}
	for i, want := range []int{200, 200, 503} {
		if got := follow(secret); got != want {
			t.Errorf("stream %d of one caller: %d, want %d", i+1, got, want)
		}
	}
	if got := follow(other); got != 200 {
		t.Errorf("another caller's: %d", got)
	}
}

// TestAccessChecksOfStrangersDoNotFillTheRecords: each is answered, since all users of a proxy
// come from its address.
func TestAccessChecksOfStrangersDoNotFillTheRecords(t *testing.T) {
	f := newFake()
	e := newEdge(t, f)
	for range 200 {
		if got := e.do("GET", "/v1/sessions/gr-1/authorize", ""); got.status != 401 {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	if len(f.audits) == 0 || len(f.audits) > 50 {
		t.Errorf("200 access checks of a stranger are %d audit records", len(f.audits))
	}
	if got := e.do("GET", "/v1/sessions/gr-1/authorize", "", header("X-Greenroom-Token", "right")); got.status != 200 {
		t.Errorf("a user's: %d", got.status)
	}
}
