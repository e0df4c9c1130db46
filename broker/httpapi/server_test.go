package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/internal/access"
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
		t.Errorf("the broker was asked for (-want +got):\n%s", diff)
	}
	const reply = `{
		"id":"gr-1","state":"assigned","origin":"staged","zone":"east","image":"demo","staging":"demo-east",
		"revision":"6f1d0a9c2b7e","user":{"id":"u-1","name":"alice"},"address":"127.0.0.1","ports":{"http":23817},
		"alloc_id":"a","node_id":"n",
		"created_at":"2026-11-24T06:20:00Z","ready_at":"2026-11-24T06:20:01Z","assigned_at":"2026-11-24T06:21:00Z",
		"terms":{"keepalive_expiration":"5m0s","session_time_limit":"1h0m0s"},"keepalive_at":"2026-11-24T06:22:00Z",
		"keepalive_until":"2026-11-24T06:27:00Z","ends_at":"2026-11-24T07:21:00Z",
		"token":"tok","connect_url":"https://x/?token=tok",
		"attempts":[{"step":"staged","zone":"east","outcome":"served"}],
		"timings_ms":{"claim":0.412,"fence":2,"hook":0,"total":3}}`
	if diff := cmp.Diff(decoded(t, []byte(reply)), decoded(t, got.body)); diff != "" {
		t.Errorf("reply (-want +got):\n%s", diff)
	}

	e.do("POST", "/v1/sessions", launchBody)
	if f.last.Wait != time.Minute || f.last.IdempotencyKey != "" {
		t.Errorf("without parameters the broker is asked to wait %s with the key %q", f.last.Wait, f.last.IdempotencyKey)
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

func TestErrorsBecomeProblems(t *testing.T) {
	attempts := []staging.Attempt{{Step: staging.StepOnDemand, Zone: "east", Outcome: staging.OutcomeFailed, Reason: "no room"}}
	secret := errors.New("dial tcp 10.1.2.3:8500: secret")
	tests := []struct {
		err        error
		status     int
		code       string
		retryAfter string
		fields     []string
	}{
		{&refusal.Error{Kind: refusal.NotFound}, 404, "not_found", "", nil},
		{&refusal.Error{Kind: refusal.InUse}, 409, "in_use", "", nil},
		{&refusal.Error{Kind: refusal.SessionBusy, RetryAfter: 1500 * time.Millisecond}, 409, "session_busy", "2", nil},
		{&refusal.Error{Kind: refusal.KeyReused}, 422, "idempotency_key_reused", "", nil},
		{&refusal.Error{Kind: refusal.KeyInFlight}, 409, "idempotency_key_in_flight", "2", nil},
		{&refusal.Error{Kind: refusal.Bootstrapped}, 409, "already_bootstrapped", "", nil},
		{&refusal.Error{Kind: refusal.ImageDisabled}, 409, "image_disabled", "", nil},
		{&refusal.Error{Kind: refusal.SessionLimit, Sessions: []string{"gr-1", "gr-2"}}, 409, "session_limit", "", nil},
		{&refusal.Error{Kind: refusal.NotAssigned}, 409, "session_not_assigned", "", nil},
		{&refusal.Error{Kind: refusal.Forbidden}, 403, "forbidden", "", nil},
		{&refusal.Error{Kind: refusal.NoCapacity, RetryAfter: time.Minute}, 503, "no_capacity", "60", nil},
		{&refusal.Error{Kind: refusal.Overloaded}, 503, "overloaded", "2", nil},
		{&refusal.Error{Kind: refusal.LaunchFailed}, 503, "launch_failed", "", nil},
		{&refusal.Error{Kind: refusal.ConsulUnavailable}, 503, "consul_unavailable", "2", nil},
		{&refusal.Error{Kind: refusal.NomadUnavailable}, 503, "nomad_unavailable", "2", nil},
		{&refusal.Error{Kind: refusal.RedisUnavailable}, 503, "redis_unavailable", "2", nil},
		{&refusal.Error{Kind: "new_kind"}, 500, "new_kind", "", nil},
		{fmt.Errorf("launch: %w", staging.Invalid("launch", "zone", "there is no zone %q", "x")), 422, "invalid_field", "", []string{"zone"}},
		{secret, 500, "internal", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.code, func(t *testing.T) {
			f := newFake()
			if e, ok := tt.err.(*refusal.Error); ok {
				e.Detail, e.Cause, e.Attempts = "what to do", secret, attempts
			}
			f.fail = tt.err
			e := newEdge(t, f)
			got := e.do("POST", "/v1/sessions", launchBody, header("X-Request-Id", "req-1"))
			p := got.expect(t, tt.status, tt.code, tt.fields...)
			if got.header.Get("Retry-After") != tt.retryAfter {
				t.Errorf("Retry-After %q, want %q", got.header.Get("Retry-After"), tt.retryAfter)
			}
			if _, ok := tt.err.(*refusal.Error); ok && (p.Detail != "what to do" || !cmp.Equal(p.Attempts, attempts)) {
				t.Errorf("detail %q, attempts %v", p.Detail, p.Attempts)
			}
			if tt.code == "session_limit" && !cmp.Equal(p.Sessions, []string{"gr-1", "gr-2"}) {
				t.Errorf("sessions %v", p.Sessions)
			}
			if strings.Contains(string(got.body), "secret") {
				t.Errorf("the cause reached the caller: %s", got.body)
			}
			if p.RequestID != "req-1" || !strings.Contains(e.log.String(), `"request_id":"req-1"`) {
				t.Errorf("request id %q; log: %s", p.RequestID, e.log)
			}
			if tt.status >= 500 && !strings.Contains(e.log.String(), "secret") {
				t.Errorf("the cause is not in the log: %s", e.log)
			}
		})
	}
}

func TestPanicIsAnInternalProblem(t *testing.T) {
	f := newFake()
	f.launch = func(context.Context, launch.Request) (launch.Result, error) { panic("secret state") }
	e := newEdge(t, f)
	got := e.do("POST", "/v1/sessions", launchBody)
	got.expect(t, 500, "internal")
	if strings.Contains(string(got.body), "secret") {
		t.Errorf("the panic reached the caller: %s", got.body)
	}
	if log := e.log.String(); !strings.Contains(log, "secret state") || !strings.Contains(log, "server_test.go") {
		t.Errorf("the log lacks the panic or its stack: %s", log)
	}
}

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
	if got := e.do("DELETE", "/v1/sessions/gr-1", ""); got.status != 204 || len(got.body) != 0 {
		t.Errorf("delete: %d %s", got.status, got.body)
	}
	e.do("DELETE", "/v1/sessions/gr-1", "").expect(t, 404, "not_found")
}

// TestListsHavePages: every list, one item at a time, and what is no cursor of it.
func TestListsHavePages(t *testing.T) {
	f := newFake()
	e := newEdge(t, f)
	at := time.Date(2026, 11, 24, 6, 20, 0, 0, time.UTC)
	for i, name := range []string{"a", "b", "c"} {
		f.zones[name] = staging.Zone{Name: name, Datacenters: []string{"dc1"}}
		f.images[name] = staging.Image{Name: name, Jobspec: "job"}
		f.groups[name] = staging.Group{Name: name}
		f.pools[name] = status.Pool{Config: staging.Config{Name: name, Zone: "a", Image: "a"}}
		// Two were made at the same moment.
		f.sessions[name] = staging.Session{ID: name, State: staging.Ready, Origin: staging.Staged, Zone: "east", Image: "demo", CreatedAt: at.Add(time.Duration(i/2) * time.Second)}
	}
	type list struct {
		Items      []struct{ ID, Name string }
		NextCursor string `json:"next_cursor"`
	}
	others := map[string]string{}
	for _, path := range []string{"/v1/sessions", "/v1/zones", "/v1/images", "/v1/groups", "/v1/staging"} {
		var got []string
		for cursor := ""; ; {
			r := e.do("GET", path+"?limit=1&cursor="+cursor, "")
			var page list
			if err := json.Unmarshal(r.body, &page); r.status != 200 || err != nil || len(page.Items) > 1 {
				t.Fatalf("%s: %d %s", path, r.status, r.body)
			}
			for _, i := range page.Items {
				got = append(got, i.ID+i.Name)
			}
			if cursor = page.NextCursor; cursor == "" {
				break
			}
			others[path] = cursor
		}
		if strings.Join(got, "") != "abc" {
			t.Errorf("%s one by one: %v", path, got)
		}
		e.do("GET", path+"?limit=0", "").expect(t, 400, "invalid_parameter", "limit")
		e.do("GET", path+"?limit=1001", "").expect(t, 400, "invalid_parameter", "limit")
		e.do("GET", path+"?cursor=x", "").expect(t, 400, "invalid_parameter", "cursor")
	}
	e.do("GET", "/v1/sessions?cursor="+others["/v1/zones"], "").expect(t, 400, "invalid_parameter", "cursor")
	e.do("GET", "/v1/zones?cursor="+others["/v1/sessions"], "").expect(t, 400, "invalid_parameter", "cursor")
}

func TestSessionsAreFiltered(t *testing.T) {
	f := newFake()
	e := newEdge(t, f)
	e.do("GET", "/v1/sessions?state=ready,claimed&origin=staged&zone=east&image=demo&staging=p&user=u%2F1", "")
	want := staging.SessionFilter{
		States: []staging.State{staging.Ready, staging.Claimed}, Origin: staging.Staged, Zone: "east", Image: "demo", Staging: "p", User: "u/1",
	}
	if diff := cmp.Diff(want, f.filter); diff != "" {
		t.Errorf("the broker was asked for (-want +got):\n%s", diff)
	}
	e.do("GET", "/v1/sessions?state=ended", "").expect(t, 400, "invalid_parameter", "state")
	e.do("GET", "/v1/sessions?state=ready,idle", "").expect(t, 400, "invalid_parameter", "state")
	e.do("GET", "/v1/sessions?origin=here", "").expect(t, 400, "invalid_parameter", "origin")
	e.do("GET", "/v1/sessions?colour=red", "").expect(t, 400, "unknown_parameter", "colour")
}

func TestResources(t *testing.T) {
	tests := []struct{ path, body, item string }{
		{
			"/v1/zones/east", `{"name":"east","region":"eu","datacenters":["dc1"],"node_pool":"gpu","namespace":"n","search_alternate_zones":true,"alternate_zones":["west"],"allow_origin_domain":"example.org"}`,
			`{"name":"east","region":"eu","datacenters":["dc1"],"node_pool":"gpu","namespace":"n","search_alternate_zones":true,"alternate_zones":["west"],"allow_origin_domain":"example.org","upstream_auth_address":"$request_host$"}`,
		},
		{
			"/v1/groups/students",
			`{"priority":3,"permissions":{"allow_audio":false},"max_sessions_per_user":2,"keepalive_expiration":"5m","session_time_limit":"8h","expose_user_environment_vars":true,"inject_ssh_keys":false,"run_config":{"hostname":"h","shm_size":268435456,"sysctl":[{"a":"b"}]},"volume_mapping":[{"source":"/srv/{user_id}","target":"/data","read_only":true}],"web_filter_policy":"strict"}`,
			`{"name":"students","priority":3,"permissions":{"allow_audio":false},"max_sessions_per_user":2,"keepalive_expiration":"5m0s","session_time_limit":"8h0m0s","expose_user_environment_vars":true,"inject_ssh_keys":false,"run_config":{"hostname":"h","shm_size":268435456,"sysctl":[{"a":"b"}]},"volume_mapping":[{"source":"/srv/{user_id}","target":"/data","read_only":true}],"web_filter_policy":"strict"}`,
		},
		{
			"/v1/images/whole",
			`{"enabled":false,"jobspec":"job","restrict_to_zones":["east"],"run_config":{"hostname":"h"},"volume_mappings":[{"source":"/a","target":"/b"}],"persistent_profile_path":"/p/{user_id}","web_filter_policy":"w","session_time_limit":"1h","connect_url":"http://{address}:{port_http}/","exec_config":{"first_launch":{"cmd":["a"]},"go":{"cmd":["b"],"user":"desktop"}}}`,
			`{"name":"whole","enabled":false,"jobspec":"job","restrict_to_zones":["east"],"run_config":{"hostname":"h"},"volume_mappings":[{"source":"/a","target":"/b"}],"persistent_profile_path":"/p/{user_id}","web_filter_policy":"w","session_time_limit":"1h0m0s","connect_url":"http://{address}:{port_http}/","exec_config":{"first_launch":{"cmd":["a"]},"go":{"cmd":["b"],"user":"desktop"}}}`,
		},
		{
			"/v1/staging/whole",
			`{"zone":"east","image":"demo","desired_sessions":3,"permissions":{"allow_webcam":true},"max_unavailable":"50%","schedule":[{"cron":"0 13 * * *","time_zone":"Europe/Berlin","duration":"2h","desired_sessions":30}]}`,
			`{"name":"whole","zone":"east","image":"demo","desired_sessions":3,"permissions":{"allow_webcam":true},"max_unavailable":"50%","schedule":[{"cron":"0 13 * * *","time_zone":"Europe/Berlin","duration":"2h0m0s","desired_sessions":30}],"current_sessions":0,"ready_sessions":0,"conditions":[]}`,
		},
		{
			"/v1/images/demo", `{"jobspec":"job","variables":{"a":"b"},"exec_config":{"assign":{"task":"t","cmd":["/bin/x"],"environment":{"K":"V"},"workdir":"/","timeout":"5s"}}}`,
			`{"name":"demo","jobspec":"job","variables":{"a":"b"},"exec_config":{"assign":{"task":"t","cmd":["/bin/x"],"environment":{"K":"V"},"workdir":"/","timeout":"5s"}}}`,
		},
		{"/v1/images/bare", `{"jobspec":"job"}`, `{"name":"bare","jobspec":"job"}`},
		{
			"/v1/staging/p", `{"zone":"east","image":"demo","desired_sessions":3,"expiration":"24h"}`,
			`{"name":"p","zone":"east","image":"demo","desired_sessions":3,"expiration":"24h0m0s","current_sessions":0,"ready_sessions":0,"conditions":[]}`,
		},
		{
			"/v1/staging/q", `{"zone":"east","image":"demo","desired_sessions":0}`,
			`{"name":"q","zone":"east","image":"demo","desired_sessions":0,"current_sessions":0,"ready_sessions":0,"conditions":[]}`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			e := newEdge(t, newFake())
			e.do("GET", tt.path, "").expect(t, 404, "not_found")
			list := tt.path[:strings.LastIndex(tt.path, "/")]
			if got := e.do("GET", list, ""); string(got.body) != `{"items":[]}`+"\n" {
				t.Errorf("none: %s", got.body)
			}
			if got := e.do("PUT", tt.path, tt.body); got.status != 201 || got.header.Get("Location") != tt.path {
				t.Errorf("create: %d, Location %q: %s", got.status, got.header.Get("Location"), got.body)
			}
			want := decoded(t, []byte(tt.item))
			again := e.do("PUT", tt.path, tt.body)
			if diff := cmp.Diff(want, decoded(t, again.body)); again.status != 200 || diff != "" {
				t.Errorf("replace: %d (-want +got):\n%s", again.status, diff)
			}
			if diff := cmp.Diff(want, decoded(t, e.do("GET", tt.path, "").body)); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]any{"items": []any{want}}, decoded(t, e.do("GET", list, "").body)); diff != "" {
				t.Errorf("list (-want +got):\n%s", diff)
			}
			if got := e.do("DELETE", tt.path, ""); got.status != 204 {
				t.Errorf("delete: %d %s", got.status, got.body)
			}
			e.do("GET", tt.path, "").expect(t, 404, "not_found")
		})
	}
}

func TestASetIsCheckedAndNotStored(t *testing.T) {
	f := newFake()
	e := newEdge(t, f)
	set := `{"zones":[{"name":"east","datacenters":["dc1"]}],"staging":[{"name":"p","zone":"east","image":"demo","desired_sessions":1}]}`
	if got := e.do("POST", "/v1/resources/check", set); got.status != 204 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if len(f.checked.Zones) != 1 || len(f.checked.Configs) != 1 || len(f.zones) != 0 {
		t.Errorf("checked %+v, stored %+v", f.checked, f.zones)
	}
	e.do("POST", "/v1/resources/check", `{"zones":[{"name":"east","datacentres":["dc1"]}]}`).expect(t, 400, "unknown_field", "zones[0].datacentres", "zones[0].datacenters")
	f.fail = staging.Invalid("the set of resources", "images[1].jobspec", "no job")
	e.do("POST", "/v1/resources/check", "{}").expect(t, 422, "invalid_field", "images[1].jobspec")
}

func TestPoolWithConditions(t *testing.T) {
	f := newFake()
	f.pools["p"] = status.Pool{
		Config:  staging.Config{Name: "p", Zone: "east", Image: "demo", DesiredSessions: 3},
		Current: 2, Ready: 1,
		Conditions: []staging.Condition{{Type: staging.CapacityExhausted, Message: "no memory", Since: time.Now()}},
	}
	var p httpapi.StagingPool
	got := newEdge(t, f).do("GET", "/v1/staging/p", "")
	if err := json.Unmarshal(got.body, &p); err != nil {
		t.Fatal(err)
	}
	if p.CurrentSessions != 2 || p.ReadySessions != 1 || p.Conditions[0].Type != staging.CapacityExhausted {
		t.Errorf("got %s", got.body)
	}
}

// guardedBy is a guard that knows the broker's own token alone.
func guardedBy(token string) access.Guard {
	none := access.NewTokens(nil, 1, nil)
	return access.Guard{On: true, Agent: access.Hash(token), Tokens: func() *access.Tokens { return none }}
}

func TestToken(t *testing.T) {
	e := newEdge(t, newFake(), func(o *httpapi.Options) { o.Guard = guardedBy("open sesame") })
	for _, tt := range []struct {
		path, given string
		status      int
	}{
		{"/v1/sessions", "", 401},
		{"/v1/sessions", "Bearer wrong", 401},
		{"/v1/sessions", "Basic open sesame", 401},
		{"/v1/sessions", "Bearer", 401},
		{"/v1/nothing", "", 401},
		{"/v1/openapi.yaml", "", 200},
		{"/v1/sessions", "Bearer open sesame", 200},
		{"/v1/sessions", "bearer open sesame", 200},
		{"/v1/health/live", "", 200},
		{"/v1/health/ready", "", 200},
		{"/metrics", "", 200},
	} {
		var adjust []func(*http.Request)
		if tt.given != "" {
			adjust = append(adjust, header("Authorization", tt.given))
		}
		got := e.do("GET", tt.path, "", adjust...)
		if got.status != tt.status {
			t.Errorf("%s with %q: %d, want %d", tt.path, tt.given, got.status, tt.status)
		}
		if got.status == 401 {
			got.expect(t, 401, "unauthorized")
			if got.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s: no WWW-Authenticate", tt.path)
			}
		}
	}
	if strings.Contains(e.log.String(), "sesame") {
		t.Errorf("the log holds the token: %s", e.log)
	}
}

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

// TestALaunchIsOneLineOfTheLog, which says whose which session is.
func TestStatus(t *testing.T) {
	f := newFake()
	e := newEdge(t, f)
	f.status = status.Status{
		Health: status.HealthDegraded, Reasons: []string{"why"}, Dependencies: fakeMonitor{f}.Dependencies(t.Context()),
		Zones: []status.ZoneStatus{
			{Name: "east", Trusted: true, Known: true, Pools: []status.PoolStatus{
				{
					Pool: status.Pool{Config: staging.Config{Name: "a", Image: "demo", DesiredSessions: 3}, Current: 2, Ready: 1},
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
		"dependencies":[{"name":"consul","status":"ok"},{"name":"nomad","status":"ok"},{"name":"redis","status":"ok"}],
		"zones":[
			{"name":"east","vouched":true,"desired_sessions":3,"current_sessions":2,"ready_sessions":1,"claims_per_minute":1.23,"staged_share":0.75,"pools":[
				{"name":"a","image":"demo","desired_sessions":3,"current_sessions":2,"ready_sessions":1,"claims_per_minute":1.23,"staged_share":0.75,
					"time_to_ready":{"sessions":2,"mean_seconds":1.5,"max_seconds":2},"conditions":[]},
				{"name":"b","image":"demo","desired_sessions":0,"current_sessions":0,"ready_sessions":0,"claims_per_minute":0,"staged_share":0,"conditions":[]}]},
			{"name":"west","vouched":false,"desired_sessions":0,"pools":[]}]}`
	if diff := cmp.Diff(decoded(t, []byte(want)), decoded(t, got.body)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

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

func TestRequestID(t *testing.T) {
	e := newEdge(t, newFake())
	if got := e.do("GET", "/v1/zones", "", header("X-Request-Id", "mine:1.2-3_4")); got.header.Get("X-Request-Id") != "mine:1.2-3_4" {
		t.Errorf("a sane id became %q", got.header.Get("X-Request-Id"))
	}
	for _, id := range []string{"a b", "ü", "\"x\"", strings.Repeat("x", 129)} {
		if got := e.do("GET", "/v1/zones", "", header("X-Request-Id", id)); got.header.Get("X-Request-Id") == id {
			t.Errorf("%q was taken over", id)
		}
	}
	if n := strings.Count(e.log.String(), "\n"); n != 5 {
		t.Errorf("%d lines of log for 5 requests", n)
	}
}

func TestMetricsAndContractAreServed(t *testing.T) {
	e := newEdge(t, newFake())
	e.do("GET", "/v1/zones/none", "")
	e.do("GET", "/no/such/path", "")
	e.do("BREW", "/v1/zones", "")
	got := e.do("GET", "/metrics", "")
	for _, line := range []string{
		`greenroom_http_requests_total{code="404",method="GET",route="/v1/zones/:name"} 1`,
		`greenroom_http_requests_total{code="404",method="GET",route="unmatched"} 1`,
		`greenroom_http_requests_total{code="405",method="other",route="unmatched"} 1`,
		`greenroom_http_request_duration_seconds_count{method="GET",route="/v1/zones/:name"} 1`,
	} {
		if !strings.Contains(string(got.body), line) {
			t.Errorf("/metrics lacks %s in:\n%s", line, got.body)
		}
	}
	want, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if got := e.do("GET", "/v1/openapi.yaml", ""); got.status != 200 || string(got.body) != string(want) {
		t.Errorf("the contract is not served as it is written: %d, %d bytes", got.status, len(got.body))
	}
}

func TestServerIsBounded(t *testing.T) {
	s := httpapi.NewServer("127.0.0.1:0", http.NotFoundHandler(), 10)
	if s.ReadHeaderTimeout == 0 || s.ReadTimeout == 0 || s.IdleTimeout == 0 || s.MaxHeaderBytes == 0 {
		t.Errorf("a bound is missing: %+v", s)
	}
	if s.WriteTimeout <= launch.MaxWait+staging.MaxHookTimeout {
		t.Errorf("an answer may take %s, which a launch may need", s.WriteTimeout)
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

func decoded(t *testing.T, b []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	return v
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

// TestAuthorizeFindsTheTokenWhereverAProxyPutsIt, whatever token the broker demands.
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
			t.Errorf("%s: status %d, want %d; the broker was asked %+v", tt.name, got.status, tt.status, f.access)
		}
		if got.status == 200 && (got.header.Get("X-Greenroom-User-Id") != "u-1" || got.header.Get("X-Greenroom-User-Name") != "Zo%C3%AB%0A" || got.header.Get("X-Greenroom-Session-Id") != "gr-1") {
			t.Errorf("%s: headers %v", tt.name, got.header)
		}
	}
	if strings.Contains(e.log.String(), "right") {
		t.Errorf("the log holds a session's token: %s", e.log)
	}
}
