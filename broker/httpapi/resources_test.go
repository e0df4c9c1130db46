package httpapi_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestListsHavePages: every list is read one item at a time; a cursor of another list is
// refused.
func TestListsHavePages(t *testing.T) {
	f := newFake()
	e := newEdge(t, f)
	at := time.Date(2026, 11, 24, 6, 20, 0, 0, time.UTC)
	for i, name := range []string{"a", "b", "c"} {
		f.zones[name] = staging.Zone{Name: name, Datacenters: []string{"dc1"}}
		f.images[name] = staging.Image{Name: name, Jobspec: "job"}
		f.groups[name] = staging.Group{Name: name}
		f.pools[name] = status.Pool{Config: staging.Config{Name: name, Zone: "a", Image: "a"}, Fill: staging.Full}
		// Two were created at the same moment.
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

func TestResources(t *testing.T) {
	tests := []struct{ path, body, item string }{
		{
			"/v1/zones/east", `{"name":"east","region":"eu","datacenters":["dc1"],"node_pool":"gpu","namespace":"n","search_alternate_zones":true,"alternate_zones":["west"],"allow_origin_domain":"example.org","allowed_groups":["staff"]}`,
			`{"name":"east","region":"eu","datacenters":["dc1"],"node_pool":"gpu","namespace":"n","search_alternate_zones":true,"alternate_zones":["west"],"allow_origin_domain":"example.org","upstream_auth_address":"$request_host$","allowed_groups":["staff"]}`,
		},
		{
			"/v1/groups/students",
			`{"priority":3,"default":true,"permissions":{"allow_audio":false},"max_sessions_per_user":2,"keepalive_expiration":"5m","session_time_limit":"8h","max_extension":"2h","unhealthy_expiration":"30m","idle_expiration":"2h","unvisited_expiration":"10m","allowed_environment":["PYTHONPATH","GIT_*"],"expose_user_environment_vars":true,"inject_ssh_keys":false,"run_config":{"hostname":"h","shm_size":268435456,"sysctl":[{"a":"b"}]},"volume_mapping":[{"source":"/srv/{user_id}","target":"/data","read_only":true}],"web_filter_policy":"strict"}`,
			`{"name":"students","priority":3,"default":true,"permissions":{"allow_audio":false},"max_sessions_per_user":2,"keepalive_expiration":"5m0s","session_time_limit":"8h0m0s","max_extension":"2h0m0s","unhealthy_expiration":"30m0s","idle_expiration":"2h0m0s","unvisited_expiration":"10m0s","allowed_environment":["PYTHONPATH","GIT_*"],"expose_user_environment_vars":true,"inject_ssh_keys":false,"run_config":{"hostname":"h","shm_size":268435456,"sysctl":[{"a":"b"}]},"volume_mapping":[{"source":"/srv/{user_id}","target":"/data","read_only":true}],"web_filter_policy":"strict"}`,
		},
		{
			"/v1/images/whole",
			`{"enabled":false,"jobspec":"job","restrict_to_zones":["east"],"allowed_groups":["staff","students"],"run_config":{"hostname":"h"},"volume_mappings":[{"source":"/a","target":"/b"}],"persistent_profile_path":"/p/{user_id}","web_filter_policy":"w","session_time_limit":"1h","unhealthy_expiration":"30m","idle_expiration":"2h","unvisited_expiration":"10m","patience":{"start":"2m","placement":"1h","unhealthy":"10s"},"connect_url":"http://{address}:{port_http}/","exec_config":{"first_launch":{"cmd":["a"]},"go":{"cmd":["b"],"user":"desktop"}}}`,
			`{"name":"whole","enabled":false,"jobspec":"job","restrict_to_zones":["east"],"allowed_groups":["staff","students"],"run_config":{"hostname":"h"},"volume_mappings":[{"source":"/a","target":"/b"}],"persistent_profile_path":"/p/{user_id}","web_filter_policy":"w","session_time_limit":"1h0m0s","unhealthy_expiration":"30m0s","idle_expiration":"2h0m0s","unvisited_expiration":"10m0s","patience":{"start":"2m0s","placement":"1h0m0s","unhealthy":"10s"},"connect_url":"http://{address}:{port_http}/","exec_config":{"first_launch":{"cmd":["a"]},"go":{"cmd":["b"],"user":"desktop"}}}`,
		},
		{
			"/v1/staging/whole",
			`{"zone":"east","image":"demo","desired_sessions":3,"permissions":{"allow_webcam":true},"max_unavailable":"50%","schedule":[{"cron":"0 13 * * *","time_zone":"Europe/Berlin","duration":"2h","desired_sessions":30}]}`,
			`{"name":"whole","zone":"east","image":"demo","desired_sessions":3,"permissions":{"allow_webcam":true},"max_unavailable":"50%","schedule":[{"cron":"0 13 * * *","time_zone":"Europe/Berlin","duration":"2h0m0s","desired_sessions":30}],"desired_now":3,"fill":"full","current_sessions":0,"ready_sessions":0,"conditions":[]}`,
		},
		{
			"/v1/images/demo", `{"jobspec":"job","variables":{"a":"b"},"exec_config":{"assign":{"task":"t","cmd":["/bin/x"],"environment":{"K":"V"},"workdir":"/","timeout":"5s"}}}`,
			`{"name":"demo","jobspec":"job","variables":{"a":"b"},"exec_config":{"assign":{"task":"t","cmd":["/bin/x"],"environment":{"K":"V"},"workdir":"/","timeout":"5s"}}}`,
		},
		{"/v1/images/bare", `{"jobspec":"job"}`, `{"name":"bare","jobspec":"job"}`},
		{
			"/v1/staging/p", `{"zone":"east","image":"demo","desired_sessions":3,"expiration":"24h"}`,
			`{"name":"p","zone":"east","image":"demo","desired_sessions":3,"desired_now":3,"fill":"full","expiration":"24h0m0s","current_sessions":0,"ready_sessions":0,"conditions":[]}`,
		},
		{
			"/v1/staging/q", `{"zone":"east","image":"demo","desired_sessions":0}`,
			`{"name":"q","zone":"east","image":"demo","desired_sessions":0,"desired_now":0,"fill":"full","current_sessions":0,"ready_sessions":0,"conditions":[]}`,
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
	e.do("POST", "/v1/resources/check", `{"zones":[{"name":"east","datacentres":["dc1"]}]}`).expect(t, 400, "unknown_field", "zones[0].datacentres")
	f.fail = staging.Invalid("the set of resources", "images[1].jobspec", "no job")
	e.do("POST", "/v1/resources/check", "{}").expect(t, 422, "invalid_field", "images[1].jobspec")
}

func TestPoolWithConditions(t *testing.T) {
	f := newFake()
	f.pools["p"] = status.Pool{
		Config:  staging.Config{Name: "p", Zone: "east", Image: "demo", DesiredSessions: 3},
		Wanted:  staging.Wanted{Sessions: 4, Reason: "schedule 1 is open", Until: time.Unix(1780000000, 0), Next: 0},
		Current: 2, Ready: 1, Fill: staging.Short, Usual: 1500 * time.Millisecond,
		Conditions: []staging.Condition{{Type: staging.CapacityExhausted, Message: "no memory", Since: time.Now()}},
	}
	var p httpapi.StagingPool
	got := newEdge(t, f).do("GET", "/v1/staging/p", "")
	if err := json.Unmarshal(got.body, &p); err != nil {
		t.Fatal(err)
	}
	if p.CurrentSessions != 2 || p.ReadySessions != 1 || p.Conditions[0].Type != staging.CapacityExhausted ||
		p.DesiredNow != 4 || p.DesiredReason != "schedule 1 is open" || p.DesiredUntil.Unix() != 1780000000 || p.DesiredNext == nil || *p.DesiredNext != 0 || p.Fill != "short" || p.UsualSeconds != 1.5 {
		t.Errorf("got %s", got.body)
	}
}

// TestWarningsAboutImages: what is accepted and may not be meant is in a header of the answer, which
// is absent where there is nothing.
func TestWarningsAboutImages(t *testing.T) {
	e := newEdge(t, newFake())
	want := `299 greenroom "image \"odd\": jobspec: the spread of the job has no effect"`
	for _, c := range []struct{ method, path, body string }{
		{"PUT", "/v1/images/odd", `{"jobspec":"spread"}`}, // created
		{"PUT", "/v1/images/odd", `{"jobspec":"spread"}`}, // replaced
		{"POST", "/v1/resources/check", `{"images":[{"name":"odd","jobspec":"spread"},{"name":"plain","jobspec":"job"}]}`},
	} {
		if got := e.do(c.method, c.path, c.body); got.status >= 300 || got.header.Get("Warning") != want {
			t.Errorf("%s %s: %d, %q, want %q", c.method, c.path, got.status, got.header.Get("Warning"), want)
		}
	}
	for _, c := range []struct{ method, path, body string }{
		{"PUT", "/v1/images/plain", `{"jobspec":"job"}`}, {"POST", "/v1/resources/check", `{"images":[{"name":"plain","jobspec":"job"}]}`},
	} {
		if got := e.do(c.method, c.path, c.body); got.header.Values("Warning") != nil {
			t.Errorf("%s %s: %q", c.method, c.path, got.header.Values("Warning"))
		}
	}
}
