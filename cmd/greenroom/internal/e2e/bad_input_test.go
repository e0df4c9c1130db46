package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	consulapi "github.com/hashicorp/consul/api"
)

// TestBadInputNamesTheFieldAndLeavesNothing: each is answered with a problem document, and
// Consul and Nomad stay unchanged.
func TestBadInputNamesTheFieldAndLeavesNothing(t *testing.T) {
	d := sharedDev(t)
	long := strings.Repeat("x", 49)
	cases := []struct {
		name, method, path, body string
		status                   int
		names                    string // what the answer must name
	}{
		{"an unknown image", "POST", "/v1/sessions", `{"image":"none","zone":"east","user":{"id":"u","name":"n"}}`, 422, "image"},
		{"an unknown zone", "POST", "/v1/sessions", `{"image":"demo","zone":"none","user":{"id":"u","name":"n"}}`, 422, "zone"},
		{"no user", "POST", "/v1/sessions", `{"image":"demo","zone":"east","user":{"id":"","name":"n"}}`, 422, "user.id"},
		{"a NUL in the name", "POST", "/v1/sessions", `{"image":"demo","zone":"east","user":{"id":"u","name":"a\u0000b"}}`, 422, "user.name"},
		{"a bad variable", "POST", "/v1/sessions", `{"image":"demo","zone":"east","user":{"id":"u","name":"n"},"environment":{"A B":"c"}}`, 422, "environment.A B"},
		{"a reserved variable", "POST", "/v1/sessions", `{"image":"demo","zone":"east","user":{"id":"u","name":"n"},"environment":{"GREENROOM_USER_ID":"root"}}`, 422, "environment.GREENROOM_USER_ID"},
		{"a variable of the shell's own", "POST", "/v1/sessions", `{"image":"demo","zone":"east","user":{"id":"u","name":"n"},"environment":{"UID":"0"}}`, 422, "environment.UID"},
		{"a count of none", "POST", "/v1/sessions", `{"image":"demo","zone":"east","user":{"id":"u","name":"n"},"count":0}`, 422, "count"},
		{"a wait that is no duration", "POST", "/v1/sessions?wait=soon", `{"image":"demo","zone":"east","user":{"id":"u","name":"n"}}`, 400, "wait"},
		{"not JSON", "POST", "/v1/sessions", `image=demo`, 400, "JSON"},
		{"an unknown field", "POST", "/v1/sessions", `{"image":"demo","zone":"east","user":{"id":"u","name":"n"},"colour":"red"}`, 400, "colour"},
		{"an unknown field inside", "POST", "/v1/sessions", `{"image":"demo","zone":"east","user":{"id":"u","name":"n","shoe":1}}`, 400, "shoe"},
		{"a number for a name", "POST", "/v1/sessions", `{"image":7,"zone":"east","user":{"id":"u","name":"n"}}`, 400, "image"},
		{"desired below 0", "PUT", "/v1/staging/bad", `{"zone":"east","image":"demo","desired_sessions":-1}`, 422, "desired_sessions"},
		{"desired above the maximum", "PUT", "/v1/staging/bad", `{"zone":"east","image":"demo","desired_sessions":1001}`, 422, "desired_sessions"},
		{"a schedule that never begins", "PUT", "/v1/staging/bad", `{"zone":"east","image":"demo","desired_sessions":1,"schedule":[{"cron":"0 0 30 2 *","duration":"1h","desired_sessions":2}]}`, 422, "schedule[0].cron"},
		{"an expiration that is no duration", "PUT", "/v1/staging/bad", `{"zone":"east","image":"demo","desired_sessions":1,"expiration":"a day"}`, 0, "expiration"},
		{"a config of an unknown zone", "PUT", "/v1/staging/bad", `{"zone":"none","image":"demo","desired_sessions":1}`, 422, "zone"},
		{"a config of an unknown image", "PUT", "/v1/staging/bad", `{"zone":"east","image":"none","desired_sessions":1}`, 422, "image"},
		{"a name that is no DNS label", "PUT", "/v1/staging/Bad_Name", `{"zone":"east","image":"demo","desired_sessions":1}`, 422, "name"},
		{"a zone in another region", "PUT", "/v1/zones/far", `{"region":"far","datacenters":["dc1"]}`, 422, "region"},
		{"a name that is too long", "PUT", "/v1/zones/" + long, `{"datacenters":["dc1"]}`, 422, "name"},
		{"a zone without datacenters", "PUT", "/v1/zones/bad", `{"datacenters":[]}`, 422, "datacenters"},
		{"a jobspec that does not parse", "PUT", "/v1/images/bad", `{"jobspec":"job \"x\" {\n  group \"g\" {\n    count = \n  }\n}"}`, 422, "jobspec"},
		{"a jobspec of two groups", "PUT", "/v1/images/bad", `{"jobspec":"job \"x\" {\n group \"a\" { task \"t\" { driver = \"raw_exec\" } }\n group \"b\" { task \"t\" { driver = \"raw_exec\" } } }"}`, 422, "jobspec"},
		{"a hook without a command", "PUT", "/v1/images/bad", `{"jobspec":"job \"x\" {}","exec_config":{"assign":{"cmd":[]}}}`, 422, "exec_config.assign.cmd"},
		{"deleting a zone in use", "DELETE", "/v1/zones/east", "", 409, "demo-east"},
		{"deleting what is not there", "DELETE", "/v1/staging/none", "", 404, "none"},
		{"reading what is not there", "GET", "/v1/sessions/gr-none", "", 404, "gr-none"},
	}
	before := kv(t, d)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r, err := d.call(c.method, c.path, c.body)
			must(t, err)
			if r.status < 400 || r.status >= 500 || (c.status != 0 && r.status != c.status) {
				t.Errorf("status %d, want %d", r.status, c.status)
			}
			if got := r.header.Get("Content-Type"); !strings.HasPrefix(got, "application/problem+json") {
				t.Errorf("Content-Type %q", got)
			}
			var p struct {
				Status       int
				Title, Code  string
				Detail, Type string
			}
			must(t, json.Unmarshal(r.body, &p))
			if p.Code == "" || p.Title == "" || p.Status != r.status || !strings.Contains(string(r.body), c.names) {
				t.Errorf("the problem does not name %q, or lacks code, title or status: %s", c.names, r.body)
			}
		})
	}
	if after := kv(t, d); after != before {
		t.Errorf("bad input changed what Consul holds:\nbefore %s\nafter  %s", before, after)
	}
	for _, image := range []string{"bad", "none"} {
		if jobs := d.jobs(t, image); len(jobs) != 0 {
			t.Errorf("bad input started %v", jobs)
		}
	}
}

// TestNomadsMessageIsPassedOnWithItsLine: the author of a jobspec sees where it is wrong.
func TestNomadsMessageIsPassedOnWithItsLine(t *testing.T) {
	d := sharedDev(t)
	r, err := d.call("PUT", "/v1/images/bad", `{"jobspec":"job \"x\" {\n  group \"g\" {\n    count = \n  }\n}"}`)
	must(t, err)
	if !strings.Contains(string(r.body), ":3,") && !strings.Contains(string(r.body), "line 3") {
		t.Errorf("no line 3 in: %s", r.body)
	}
}

// kv returns all that an operator configured, as it is in Consul.
func kv(t *testing.T, d *devProcess) string {
	t.Helper()
	pairs, _, err := d.consul(t).KV().List("greenroom/resources/", &consulapi.QueryOptions{RequireConsistent: true})
	must(t, err)
	var b strings.Builder
	for _, p := range pairs {
		fmt.Fprintf(&b, "%s@%d ", p.Key, p.ModifyIndex)
	}
	return b.String()
}
