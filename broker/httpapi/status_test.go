package httpapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/internal/staging"
)

func TestHealth(t *testing.T) {
	f := newFake()
	draining := false
	e := newEdge(t, f, func(o *httpapi.Options) { o.Draining = func() bool { return draining } })
	if got := e.do("GET", "/v1/health/ready", ""); got.status != 200 || strings.Contains(string(got.body), "unavailable") {
		t.Errorf("all well: %d %s", got.status, got.body)
	}
	f.down = map[string]string{"nomad": "does not answer"}
	got := e.do("GET", "/v1/health/ready", "")
	if got.status != 503 || !strings.Contains(string(got.body), `{"name":"nomad","problem":"does not answer","status":"unavailable"}`) {
		t.Errorf("nomad down: %d %s", got.status, got.body)
	}
	if got := e.do("GET", "/v1/health/live", ""); got.status != 200 || string(got.body) != `{"status":"ok"}`+"\n" {
		t.Errorf("live: %d %s", got.status, got.body)
	}
	f.down = map[string]string{"redis": "does not answer"}
	if got := e.do("GET", "/v1/health/ready", ""); got.status != 200 || !strings.Contains(string(got.body), `"status":"degraded"`) {
		t.Errorf("redis down: %d %s", got.status, got.body)
	}
	f.down = map[string]string{"redis": "does not answer", "consul": "does not answer"}
	if got := e.do("GET", "/v1/health/ready", ""); got.status != 503 {
		t.Errorf("redis and consul down: %d %s", got.status, got.body)
	}
	f.down, draining = nil, true
	if got := e.do("GET", "/v1/health/ready", ""); got.status != 503 {
		t.Errorf("draining: %d %s", got.status, got.body)
	}
}

// TestStatus: unknown numbers are left out, and shares are rounded.
func TestStatus(t *testing.T) {
	f := newFake()
	e := newEdge(t, f)
	f.status = status.Status{
		Health: status.HealthDegraded, Reasons: []string{"why"}, Dependencies: fakeMonitor{f}.Dependencies(t.Context()),
		Zones: []status.ZoneStatus{
			{Name: "east", Trusted: true, Known: true, Pools: []status.PoolStatus{
				{
					Pool: status.Pool{Config: staging.Config{Name: "a", Image: "demo", DesiredSessions: 1}, Wanted: staging.Wanted{Sessions: 3, Reason: "schedule 1 is open"}, Fill: staging.Filling, Current: 2, Ready: 1},
					Activity: staging.Activity{
						PerMinute: 1.234, Staged: 9, OnDemand: 3, Ready: 2, MeanToReady: 1500 * time.Millisecond, MaxToReady: 2 * time.Second,
					},
				},
				{Pool: status.Pool{Config: staging.Config{Name: "b", Image: "demo"}}, Activity: staging.Activity{OnDemand: 3}},
			}},
			{Name: "west"},
		},
	}
	got := e.do("GET", "/v1/status", "")
	want := `{"status":"degraded","reasons":["why"],
		"remarks":["staging configs a and b stage the same image demo in zone east: a launch may take a session of any of them; if they are alike in all else, one config with the sum of their sessions does the same"],
		"dependencies":[{"name":"consul","status":"ok"},{"name":"nomad","status":"ok"},{"name":"redis","status":"ok"}],
		"zones":[
			{"name":"east","vouched":true,"desired_sessions":1,"desired_now":3,"current_sessions":2,"ready_sessions":1,"claims_per_minute":1.23,"staged_share":0.75,"pools":[
				{"name":"a","image":"demo","desired_sessions":1,"desired_now":3,"desired_reason":"schedule 1 is open","fill":"filling","current_sessions":2,"ready_sessions":1,"claims_per_minute":1.23,"staged_share":0.75,
					"time_to_ready":{"sessions":2,"mean_seconds":1.5,"max_seconds":2},"conditions":[]},
				{"name":"b","image":"demo","desired_sessions":0,"desired_now":0,"current_sessions":0,"ready_sessions":0,"claims_per_minute":0,"staged_share":0,"conditions":[]}]},
			{"name":"west","vouched":false,"desired_sessions":0,"desired_now":0,"pools":[]}]}`
	if diff := cmp.Diff(decoded(t, []byte(want)), decoded(t, got.body)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
