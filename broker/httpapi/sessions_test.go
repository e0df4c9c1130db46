package httpapi_test

import (
	"context"
	"encoding/base64"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/sessions"
	"github.com/greenroom/greenroom/internal/staging"
)

func TestSessions(t *testing.T) {
	f := newFake()
	e := newEdge(t, f)
	if got := e.do("GET", "/v1/sessions", ""); string(got.body) != `{"items":[]}`+"\n" {
		t.Errorf("none: %s", got.body)
	}
	f.sessions["gr-1"] = assignedSession()
	f.sessions["gr-2"] = staging.Session{ID: "gr-2", State: staging.Pending, Origin: staging.Staged, Zone: "east", Image: "demo", CreatedAt: time.Now()}
	for _, path := range []string{"/v1/sessions", "/v1/sessions/gr-1"} {
		got := e.do("GET", path, "")
		if got.status != 200 || !strings.Contains(string(got.body), `"http":23817`) || strings.Contains(string(got.body), "secret-claim") {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if got := e.do("GET", "/v1/sessions/gr-1", ""); strings.Contains(string(got.body), "failing_check") {
		t.Errorf("no check fails: %s", got.body)
	}
	f.failing = map[string]staging.FailingCheck{"gr-1": staging.NewFailingCheck("http", "dial tcp 127.0.0.1:23456: connection refused")}
	if got := e.do("GET", "/v1/sessions/gr-1", ""); !strings.Contains(string(got.body), `"failing_check":{"name":"http","output":"dial tcp 127.0.0.1:23456: connection refused"}`) {
		t.Errorf("a check fails: %s", got.body)
	}
	if got := e.do("DELETE", "/v1/sessions/gr-1", ""); got.status != 204 || len(got.body) != 0 {
		t.Errorf("delete: %d %s", got.status, got.body)
	}
	e.do("DELETE", "/v1/sessions/gr-1", "").expect(t, 404, "not_found")
}

// TestALogIsForAdministratorsAndOnRecord: bounded, and each reading leaves an audit record. That
// other roles do not read it is TestTheRoleTable's.
func TestALogIsForAdministratorsAndOnRecord(t *testing.T) {
	f := newFake()
	e := newEdge(t, f)
	f.sessions["gr-1"] = assignedSession()
	got := e.do("GET", "/v1/sessions/gr-1/logs", "")
	if want := `{"task":"main","tasks":["main","proxy"],"text":"up\n","truncated":true,"type":"stdout"}` + "\n"; got.status != 200 || string(got.body) != want {
		t.Errorf("%d %s, want %s", got.status, got.body, want)
	}
	if want := (sessions.LogRequest{Stream: "stdout", Lines: staging.DefaultLogLines}); f.logged != want {
		t.Errorf("the broker was asked for %+v, want %+v", f.logged, want)
	}
	if len(f.traced) != 1 || !strings.HasSuffix(f.traced[0], " getSessionLogs log of session gr-1") {
		t.Errorf("the records are %q", f.traced)
	}
	e.do("GET", "/v1/sessions/gr-1/logs?tail=1000&type=stderr&task=proxy", "")
	if want := (sessions.LogRequest{Task: "proxy", Stream: "stderr", Lines: 1000}); f.logged != want {
		t.Errorf("the broker was asked for %+v, want %+v", f.logged, want)
	}
	e.do("GET", "/v1/sessions/gr-1/logs?tail=1001", "").expect(t, 400, "invalid_parameter", "tail")
	e.do("GET", "/v1/sessions/gr-1/logs?type=both", "").expect(t, 400, "invalid_parameter", "type")
	e.do("GET", "/v1/sessions/gr-2/logs", "").expect(t, 404, "not_found")
	if len(f.traced) != 2 {
		t.Errorf("what was not read is on record: %q", f.traced)
	}
}

// TestALinkWithoutItsToken: an answer for one assigned session says where it opens, and never by
// which token.
func TestALinkWithoutItsToken(t *testing.T) {
	f := newFake()
	e := newEdge(t, f)
	s := assignedSession()
	f.sessions["gr-1"] = s
	link := func(want string) {
		t.Helper()
		if got := e.do("GET", "/v1/sessions/gr-1", ""); got.status != 200 || strings.Contains(string(got.body), `"link":"`+want) != (want != "") || want == "" && strings.Contains(string(got.body), "link") {
			t.Errorf("%q: %d %s", want, got.status, got.body)
		}
	}
	link("")
	f.images["demo"] = staging.Image{Name: "demo", ConnectURL: "https://desk.example.org/{session_id}/?token={token}"}
	link("https://desk.example.org/gr-1/?token=%7Btoken%7D")
	if got := e.do("GET", "/v1/sessions", ""); strings.Contains(string(got.body), "link") {
		t.Errorf("a list has links: %s", got.body)
	}
	s.State = staging.Ending
	f.sessions["gr-1"] = s
	link("")
}

func TestSessionsAreFiltered(t *testing.T) {
	f := newFake()
	e := newEdge(t, f)
	e.do("GET", "/v1/sessions?state=ready,claimed&origin=staged&zone=east&image=demo&staging=p&user=u%2F1&revision=6f1d0a9c2b7e", "")
	want := staging.SessionFilter{
		States: []staging.State{staging.Ready, staging.Claimed}, Origin: staging.Staged, Zone: "east", Image: "demo", Staging: "p", User: "u/1", Revision: "6f1d0a9c2b7e",
	}
	if diff := cmp.Diff(want, f.filter); diff != "" {
		t.Errorf("the broker got (-want +got):\n%s", diff)
	}
	e.do("GET", "/v1/sessions?state=ended,ready", "").expect(t, 400, "invalid_parameter", "state")
	if got := e.do("GET", "/v1/sessions?state=ended", ""); got.status != 200 || !f.filter.Ended() {
		t.Errorf("ended ones: %d %s, by %+v", got.status, got.body, f.filter)
	}
	// The lists are in different orders.
	of := func(kind string) string {
		return "&cursor=" + base64.RawURLEncoding.EncodeToString([]byte(kind+":1700000000000:gr-1"))
	}
	e.do("GET", "/v1/sessions?state=ended"+of("s"), "").expect(t, 400, "invalid_parameter", "cursor")
	e.do("GET", "/v1/sessions?state=ready"+of("e"), "").expect(t, 400, "invalid_parameter", "cursor")
	if got := e.do("GET", "/v1/sessions?state=ended"+of("e"), ""); got.status != 200 {
		t.Errorf("the next page: %d %s", got.status, got.body)
	}
	e.do("GET", "/v1/sessions?state=ready,idle", "").expect(t, 400, "invalid_parameter", "state")
	e.do("GET", "/v1/sessions?origin=here", "").expect(t, 400, "invalid_parameter", "origin")
	e.do("GET", "/v1/sessions?colour=red", "").expect(t, 400, "unknown_parameter", "colour")
}

// TestALinkToASession: to a port and a path, and refused where the broker knows no gateway. A
// launch whose image has no address of its own leads there.
func TestALinkToASession(t *testing.T) {
	f := newFake()
	e := newEdge(t, f)
	e.do("POST", "/v1/sessions/gr-1/link", "").expect(t, 404, "not_found")
	f.sessions["gr-1"] = assignedSession()
	got := e.do("POST", "/v1/sessions/gr-1/link?port=api&path=/lab", "")
	if want := `"url":"https://desk.example.org/s/gr-1/.greenroom/open?api/lab"`; got.status != 200 || !strings.Contains(string(got.body), want) || !strings.Contains(string(got.body), "expires_at") {
		t.Errorf("%d %s, want %s", got.status, got.body, want)
	}
	e.do("POST", "/v1/sessions/gr-1/link?port=ssh", "").expect(t, 422, "invalid_field", "port")
	for own, want := range map[string]string{"": "https://desk.example.org/s/gr-1/.greenroom/open?", "https://own/": "https://own/"} {
		f.launch = func(context.Context, launch.Request) (launch.Result, error) {
			return launch.Result{Session: assignedSession(), Token: "tok", ConnectURL: own}, nil
		}
		if got := e.do("POST", "/v1/sessions", launchBody); got.status != 201 || !strings.Contains(string(got.body), `"connect_url":"`+want+`"`) {
			t.Errorf("%d %s, want %s", got.status, got.body, want)
		}
	}

	f.links = nil
	alone := newEdge(t, f)
	alone.do("POST", "/v1/sessions/gr-1/link", "").expect(t, 409, "no_gateway")
}

func TestKeepalive(t *testing.T) {
	f := newFake()
	e := newEdge(t, f)
	e.do("POST", "/v1/sessions/gr-1/keepalive", "").expect(t, 404, "not_found")
	f.sessions["gr-1"] = assignedSession()
	got := e.do("POST", "/v1/sessions/gr-1/keepalive", "")
	if got.status != 200 || !strings.Contains(string(got.body), `"keepalive_until":"2026-11-24T06:27:00Z"`) || strings.Contains(string(got.body), "token") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestAuthorizeFindsTheTokenWhereverAProxyPutsIt, and needs no token of the API.
func TestAuthorizeFindsTheTokenWhereverAProxyPutsIt(t *testing.T) {
	f := newFake()
	e := newEdge(t, f, func(o *httpapi.Options) { o.Guard = guardedBy("the broker's") })
	for _, tt := range []struct {
		name   string
		header []string
		status int
	}{
		{"bearer", []string{"Authorization", "bearer right"}, 200},
		{"header", []string{"X-Greenroom-Token", "right"}, 200},
		{"cookie", []string{"Cookie", "other=1; greenroom_token=right"}, 200},
		{"nginx", []string{"X-Original-URI", "/s/gr-1/?a=b&token=right"}, 200},
		{"traefik", []string{"X-Forwarded-Uri", "/s/gr-1/?token=right"}, 200},
		{"none", nil, 401},
		{"the broker's own", []string{"Authorization", "Bearer the broker's"}, 401},
		{"a program's own bearer beside the right one", []string{"Authorization", "Bearer other", "Cookie", "greenroom_token=stale; greenroom_token=right"}, 200},
		{"foreign", []string{"X-Greenroom-Token", "right", "Origin", "https://foreign.example"}, 403},
		{"odd headers", []string{"X-Greenroom-Token", "right", "Idempotency-Key", "", "X-Original-URI", "::"}, 200},
	} {
		var adjust []func(*http.Request)
		for i := 0; i+1 < len(tt.header); i += 2 {
			adjust = append(adjust, header(tt.header[i], tt.header[i+1]))
		}
		adjust = append(adjust, header("X-Forwarded-Host", "desk.example:8443"))
		got := e.do("GET", "/v1/sessions/gr-1/authorize?odd=1", "", adjust...)
		if got.status != tt.status || f.access.RequestHost != "desk.example" || f.access.Session != "gr-1" {
			t.Errorf("%s: status %d, want %d; the broker got %+v", tt.name, got.status, tt.status, f.access)
		}
		if got.status == 200 && (got.header.Get("X-Greenroom-User-Id") != "u-1" || got.header.Get("X-Greenroom-User-Name") != "Zo%C3%AB%0A" || got.header.Get("X-Greenroom-Session-Id") != "gr-1" || got.header.Get("X-Greenroom-Upstream") != "127.0.0.1:23817") {
			t.Errorf("%s: headers %v", tt.name, got.header)
		}
	}
	if e.do("GET", "/v1/sessions/gr-1/authorize?port=vnc", "", header("X-Greenroom-Token", "right")); f.access.Port != "vnc" {
		t.Errorf("the broker got the port %q", f.access.Port)
	}
	if strings.Contains(e.log.String(), "right") {
		t.Errorf("the log holds a session's token: %s", e.log)
	}
}

// TestACommandReachesTheSessionAsItWasSent: braces in it are no tokens.
func TestACommandReachesTheSessionAsItWasSent(t *testing.T) {
	f := newFake()
	f.sessions["gr-1"] = assignedSession()
	e := newEdge(t, f)
	got := e.do("POST", "/v1/sessions/gr-1/exec", `{"cmd":["sh","-c","echo {username}"],"environment":{"K":"V"},"workdir":"/tmp","user":"1000"}`)
	if got.status != 204 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	want := []staging.Hook{{Cmd: []string{"sh", "-c", "echo {username}"}, Environment: map[string]string{"K": "V"}, Workdir: "/tmp", User: "1000"}}
	if !reflect.DeepEqual(f.ran, want) {
		t.Errorf("the session got %+v, want %+v", f.ran, want)
	}
	e.do("POST", "/v1/sessions/gr-2/exec", `{"cmd":["true"]}`).expect(t, 404, "not_found")
	e.do("POST", "/v1/sessions/gr-1/exec", `{"cmd":"true"}`).expect(t, 400, "invalid_type", "cmd")
	e.do("POST", "/v1/sessions/gr-1/exec", `{}`).expect(t, 422, "invalid_field", "cmd")
	e.do("POST", "/v1/sessions/gr-1/exec", `{"cmd":["true"],"privileged":true}`).expect(t, 400, "unknown_field", "privileged")
}
