package httpapi_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/broker/httpapi"
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
		if got.status == 200 && (got.header.Get("X-Greenroom-User-Id") != "u-1" || got.header.Get("X-Greenroom-User-Name") != "Zo%C3%AB%0A" || got.header.Get("X-Greenroom-Session-Id") != "gr-1") {
			t.Errorf("%s: headers %v", tt.name, got.header)
		}
	}
	if strings.Contains(e.log.String(), "right") {
		t.Errorf("the log holds a session's token: %s", e.log)
	}
}
