package httpapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/internal/staging"
)

const launchBody = `{"image":"demo","zone":"east","user":{"id":"u-1","name":"alice"},"url":"https://example.org","environment":{"K":"V"}}`

func TestLaunch(t *testing.T) {
	f := newFake()
	e := newEdge(t, f)
	got := e.do("POST", "/v1/sessions?wait=30s", launchBody, header("Idempotency-Key", "a key, 100%20"))
	if got.status != http.StatusCreated || got.header.Get("Location") != "/v1/sessions/gr-1" {
		t.Fatalf("status %d, Location %q: %s", got.status, got.header.Get("Location"), got.body)
	}
	want := launch.Request{
		Launch: staging.Launch{
			Image: "demo", Zone: "east", User: staging.User{ID: "u-1", Name: "alice"},
			URL: "https://example.org", Environment: map[string]string{"K": "V"},
		},
		IdempotencyKey: "a key, 100%20", Wait: 30 * time.Second, RequestHost: "example.com",
	}
	if diff := cmp.Diff(want, f.last); diff != "" {
		t.Errorf("the broker got (-want +got):\n%s", diff)
	}
	const reply = `{
		"id":"gr-1","state":"assigned","origin":"staged","zone":"east","image":"demo","staging":"demo-east",
		"revision":"6f1d0a9c2b7e","user":{"id":"u-1","name":"alice"},"address":"127.0.0.1","ports":{"http":23817},
		"alloc_id":"a","node_id":"n",
		"created_at":"2026-11-24T06:20:00Z","ready_at":"2026-11-24T06:20:01Z","assigned_at":"2026-11-24T06:21:00Z",
		"terms":{"keepalive_expiration":"5m0s","session_time_limit":"1h0m0s","idle_expiration":"30m0s"},"visited_at":"2026-11-24T06:21:30Z","idle_ends_at":"2026-11-24T06:52:00Z","keepalive_at":"2026-11-24T06:22:00Z",
		"keepalive_until":"2026-11-24T06:27:00Z","ends_at":"2026-11-24T07:21:00Z","healthy":true,"healthy_since":"2026-11-24T06:20:01Z",
		"token":"tok","connect_url":"https://x/?token=tok",
		"attempts":[{"step":"staged","zone":"east","outcome":"served"}],
		"timings_ms":{"claim":0.412,"fence":2,"hook":0,"total":3}}`
	if diff := cmp.Diff(decoded(t, []byte(reply)), decoded(t, got.body)); diff != "" {
		t.Errorf("reply (-want +got):\n%s", diff)
	}

	e.do("POST", "/v1/sessions", launchBody)
	if f.last.Wait != time.Minute || f.last.IdempotencyKey != "" {
		t.Errorf("without parameters the broker gets the wait %s and the key %q", f.last.Wait, f.last.IdempotencyKey)
	}
	for _, line := range []string{"alice", "example.org", "secret-claim"} {
		if strings.Contains(e.log.String(), line) {
			t.Errorf("the log holds %q of the body", line)
		}
	}
}

func TestLaunchThatIsNotUpYet(t *testing.T) {
	for _, state := range []staging.State{staging.Pending, staging.Starting} {
		f := newFake()
		f.launch = func(context.Context, launch.Request) (launch.Result, error) {
			s := staging.Session{ID: "gr-2", State: state, Origin: staging.OnDemand, Zone: "east", Image: "demo", CreatedAt: time.Now()}
			return launch.Result{Session: s}, nil
		}
		got := newEdge(t, f).do("POST", "/v1/sessions?wait=0s", launchBody)
		if got.status != http.StatusAccepted || got.header.Get("Location") != "/v1/sessions/gr-2" || got.header.Get("Retry-After") != "1" {
			t.Errorf("%s: status %d, headers %v", state, got.status, got.header)
		}
	}
}

// A client that hangs up must not end a launch that has begun.
func TestLaunchOutlivesItsClient(t *testing.T) {
	f := newFake()
	ctx, hangUp := context.WithCancel(t.Context())
	f.launch = func(ctx context.Context, _ launch.Request) (launch.Result, error) {
		hangUp()
		return launch.Result{Session: assignedSession()}, ctx.Err()
	}
	got := newEdge(t, f).do("POST", "/v1/sessions", launchBody, func(r *http.Request) { *r = *r.WithContext(ctx) })
	if got.status != http.StatusCreated {
		t.Errorf("status %d: the launch saw its client hang up", got.status)
	}
}

// TestALaunchIsOneLineOfTheLog, with the session and its user.
func TestALaunchIsOneLineOfTheLog(t *testing.T) {
	e := newEdge(t, newFake())
	e.do("POST", "/v1/sessions", launchBody, header("X-Request-Id", "req-1"))
	line := decoded(t, e.log.Bytes()).(map[string]any)
	for field, want := range map[string]string{
		"request_id": "req-1", "session": "gr-1", "image": "demo", "zone": "east", "origin": "staged", "state": "assigned", "user_id": "u-1",
	} {
		if line[field] != want {
			t.Errorf("%s is %v, want %s", field, line[field], want)
		}
	}
}

// Over a real connection: a request whose handler takes longer than the read
// timeout is answered all the same.
func TestReadTimeoutDoesNotEndALongLaunch(t *testing.T) {
	f := newFake()
	release := make(chan struct{})
	f.launch = func(context.Context, launch.Request) (launch.Result, error) {
		<-release
		return launch.Result{Session: assignedSession()}, nil
	}
	e := newEdge(t, f)
	s := httptest.NewUnstartedServer(e.handler)
	s.Config.ReadTimeout = 50 * time.Millisecond
	s.Start()
	defer s.Close()
	time.AfterFunc(4*s.Config.ReadTimeout, func() { close(release) })
	resp, err := http.Post(s.URL+"/v1/sessions", "application/json", strings.NewReader(launchBody))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestAUsersOwnSessionIsAnOK(t *testing.T) {
	f := newFake()
	f.launch = func(context.Context, launch.Request) (launch.Result, error) {
		return launch.Result{Session: assignedSession(), Existing: true}, nil
	}
	if got := newEdge(t, f).do("POST", "/v1/sessions", launchBody); got.status != http.StatusOK || got.header.Get("Location") != "/v1/sessions/gr-1" {
		t.Errorf("status %d, Location %q", got.status, got.header.Get("Location"))
	}
}
