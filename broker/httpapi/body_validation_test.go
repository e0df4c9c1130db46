package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestBodiesAreHeldToTheContract(t *testing.T) {
	const launch = "POST /v1/sessions"
	tests := []struct {
		name, to, body string
		status         int
		code           string
		fields         []string
	}{
		{"empty", launch, " ", 400, "malformed_body", nil},
		{"not JSON", launch, `{"image": demo}`, 400, "malformed_body", nil},
		{"cut short", launch, `{"image":"demo"`, 400, "malformed_body", nil},
		{"trailing garbage", launch, `{"image":"demo","zone":"east","user":{"id":"u"}} x`, 400, "malformed_body", nil},
		{"two values", launch, `{"image":"demo","zone":"east","user":{"id":"u"}}{}`, 400, "malformed_body", nil},
		{"not UTF-8", launch, "{\"image\":\"\xff\"}", 400, "malformed_body", nil},
		{"a list", launch, `[]`, 400, "invalid_type", nil},
		{"null", launch, `null`, 400, "invalid_type", nil},
		{"a string", launch, `"demo"`, 400, "invalid_type", nil},
		{"unknown field", launch, `{"image":"demo","zone":"east","user":{"id":"u"},"colour":"red"}`, 400, "unknown_field", []string{"colour"}},
		{"unknown inner field", launch, `{"image":"demo","zone":"east","user":{"id":"u","mail":{"a":[1]}}}`, 400, "unknown_field", []string{"user.mail"}},
		{"another case", launch, `{"Image":"demo","image":"demo","zone":"east","user":{"id":"u"}}`, 400, "unknown_field", []string{"Image"}},
		{"wrong type", launch, `{"image":1,"zone":"east","user":{"id":"u"}}`, 400, "invalid_type", []string{"image"}},
		{"wrong type in a map", launch, `{"image":"demo","zone":"east","user":{"id":"u"},"environment":{"K":1}}`, 400, "invalid_type", []string{"environment.K"}},
		{"null for absent", launch, `{"image":"demo","zone":"east","user":{"id":"u"},"url":null}`, 400, "invalid_type", []string{"url"}},
		{"a string for an object", launch, `{"image":"demo","zone":"east","user":"alice"}`, 400, "invalid_type", []string{"user"}},
		{"twice", launch, `{"image":"demo","image":"other","zone":"east","user":{"id":"u"}}`, 400, "duplicate_field", []string{"image"}},
		{"twice in a map", launch, `{"image":"demo","zone":"east","user":{"id":"u"},"environment":{"K":"1","K":"2"}}`, 400, "duplicate_field", []string{"environment.K"}},
		{"several at once", launch, `{"image":1,"zone":"east","user":{"id":2,"x":3}}`, 400, "invalid_type", []string{"image", "user.id", "user.x"}},
		{"missing", launch, `{"user":{"id":"u"}}`, 422, "invalid_field", []string{"zone"}},
		// A user's own token identifies its user; other callers must name one.
		{"nobody", launch, `{"image":"demo","zone":"east"}`, 422, "invalid_field", []string{"user.id"}},
		{"missing inside", launch, `{"image":"demo","zone":"east","user":{}}`, 422, "invalid_field", []string{"user.id"}},
		{"missing and unknown", launch, `{"image":"demo","zone":"east","usr":{"id":"u"}}`, 400, "unknown_field", []string{"usr"}},
		{"not a DNS label", launch, `{"image":"De mo","zone":"east","user":{"id":"u"}}`, 422, "invalid_field", []string{"image"}},

		{"no number", "PUT /v1/staging/p", `{"zone":"east","image":"demo"}`, 422, "invalid_field", []string{"desired_sessions"}},
		{"a number in quotes", "PUT /v1/staging/p", `{"zone":"east","image":"demo","desired_sessions":"3"}`, 400, "invalid_type", []string{"desired_sessions"}},
		{"a fraction", "PUT /v1/staging/p", `{"zone":"east","image":"demo","desired_sessions":1.5}`, 400, "invalid_type", []string{"desired_sessions"}},
		{"too large to count", "PUT /v1/staging/p", `{"zone":"east","image":"demo","desired_sessions":1e99}`, 400, "invalid_type", []string{"desired_sessions"}},
		{"below 0", "PUT /v1/staging/p", `{"zone":"east","image":"demo","desired_sessions":-1}`, 422, "invalid_field", []string{"desired_sessions"}},
		{"above the maximum", "PUT /v1/staging/p", `{"zone":"east","image":"demo","desired_sessions":1001}`, 422, "invalid_field", []string{"desired_sessions"}},
		{"no duration", "PUT /v1/staging/p", `{"zone":"east","image":"demo","desired_sessions":1,"expiration":"a day"}`, 422, "invalid_field", []string{"expiration"}},
		{"a duration as a number", "PUT /v1/staging/p", `{"zone":"east","image":"demo","desired_sessions":1,"expiration":24}`, 400, "invalid_type", []string{"expiration"}},
		{"too short a duration", "PUT /v1/staging/p", `{"zone":"east","image":"demo","desired_sessions":1,"expiration":"1s"}`, 422, "invalid_field", []string{"expiration"}},
		{"what is answered is not set", "PUT /v1/staging/p", `{"zone":"east","image":"demo","desired_sessions":1,"ready_sessions":1}`, 400, "unknown_field", []string{"ready_sessions"}},
		{"another name than the path's", "PUT /v1/staging/p", `{"name":"q","zone":"east","image":"demo","desired_sessions":1}`, 422, "invalid_field", []string{"name"}},
		{"a path that is no name", "PUT /v1/staging/P_", `{"zone":"east","image":"demo","desired_sessions":1}`, 422, "invalid_field", []string{"name"}},

		{"a permission that is none", "PUT /v1/groups/g", `{"priority":1,"permissions":{"allow_everything":true}}`, 400, "unknown_field", []string{"permissions.allow_everything"}},
		{"a permission in quotes", "PUT /v1/groups/g", `{"priority":1,"permissions":{"allow_audio":"yes"}}`, 400, "invalid_type", []string{"permissions.allow_audio"}},
		{"a list for a run config", "PUT /v1/groups/g", `{"priority":1,"run_config":[]}`, 400, "invalid_type", []string{"run_config"}},
		{"a run config's key twice", "PUT /v1/groups/g", `{"priority":1,"run_config":{"a":{"b":[1]},"a":2}}`, 400, "duplicate_field", []string{"run_config.a"}},
		{"a volume without a target", "PUT /v1/groups/g", `{"priority":1,"volume_mapping":[{"source":"/a"}]}`, 422, "invalid_field", []string{"volume_mapping[0].target"}},
		{"no priority", "PUT /v1/groups/g", `{}`, 422, "invalid_field", []string{"priority"}},
		{"a hook that is none", "PUT /v1/images/demo", `{"jobspec":"job","exec_config":{"restart":{"cmd":["a"]}}}`, 400, "unknown_field", []string{"exec_config.restart"}},
		{"privileged", "PUT /v1/images/demo", `{"jobspec":"job","exec_config":{"go":{"cmd":["a"],"privileged":true}}}`, 400, "unknown_field", []string{"exec_config.go.privileged"}},
		{"an unknown token", "PUT /v1/images/demo", `{"jobspec":"job","exec_config":{"go":{"cmd":["a","{nobody}"]}}}`, 422, "invalid_field", []string{"exec_config.go.cmd[1]"}},
		{"a schedule without a duration", "PUT /v1/staging/p", `{"zone":"east","image":"demo","desired_sessions":1,"schedule":[{"cron":"0 1 * * *","desired_sessions":1}]}`, 422, "invalid_field", []string{"schedule[0].duration"}},

		{"another zone name", "PUT /v1/zones/east", `{"name":"west","datacenters":["dc1"]}`, 422, "invalid_field", []string{"name"}},
		{"a list with a hole", "PUT /v1/zones/east", `{"datacenters":["dc1",2]}`, 400, "invalid_type", []string{"datacenters[1]"}},
		{"a string for a list", "PUT /v1/zones/east", `{"datacenters":"dc1"}`, 400, "invalid_type", []string{"datacenters"}},
		{"no datacenter", "PUT /v1/zones/east", `{"datacenters":[]}`, 422, "invalid_field", []string{"datacenters"}},

		{"another image name", "PUT /v1/images/demo", `{"name":"other","jobspec":"job"}`, 422, "invalid_field", []string{"name"}},
		{"a deep unknown field", "PUT /v1/images/demo", `{"jobspec":"job","exec_config":{"assign":{"cmd":["a"],"shell":true}}}`, 400, "unknown_field", []string{"exec_config.assign.shell"}},
		{"a deep wrong type", "PUT /v1/images/demo", `{"jobspec":"job","exec_config":{"assign":{"cmd":["a",["b"]]}}}`, 400, "invalid_type", []string{"exec_config.assign.cmd[1]"}},
		{"a deep bad duration", "PUT /v1/images/demo", `{"jobspec":"job","exec_config":{"assign":{"cmd":["a"],"timeout":"soon"}}}`, 422, "invalid_field", []string{"exec_config.assign.timeout"}},
		{"a deep missing field", "PUT /v1/images/demo", `{"jobspec":"job","exec_config":{"assign":{}}}`, 422, "invalid_field", []string{"exec_config.assign.cmd"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			method, path, _ := strings.Cut(tt.to, " ")
			newEdge(t, f).do(method, path, tt.body).expect(t, tt.status, tt.code, tt.fields...)
			if n := len(f.zones) + len(f.images) + len(f.groups) + len(f.pools); n != 0 || f.last.Image == "demo" {
				t.Errorf("%d resources were stored, or a launch made, for a body that was refused", n)
			}
		})
	}
}

func TestRequestsAreHeldToTheContract(t *testing.T) {
	const body = `{"image":"demo","zone":"east","user":{"id":"u"}}`
	tests := []struct {
		name, to string
		adjust   []func(*http.Request)
		status   int
		code     string
		fields   []string
	}{
		{"wait is no duration", "POST /v1/sessions?wait=soon", nil, 400, "invalid_parameter", []string{"wait"}},
		{"wait without a unit", "POST /v1/sessions?wait=30", nil, 400, "invalid_parameter", []string{"wait"}},
		{"wait below 0", "POST /v1/sessions?wait=-1s", nil, 400, "invalid_parameter", []string{"wait"}},
		{"wait too long", "POST /v1/sessions?wait=11m", nil, 400, "invalid_parameter", []string{"wait"}},
		{"wait twice", "POST /v1/sessions?wait=1s&wait=2s", nil, 400, "invalid_parameter", []string{"wait"}},
		{"a misspelt parameter", "POST /v1/sessions?wiat=1s", nil, 400, "unknown_parameter", []string{"wiat"}},
		{"a parameter of another path", "GET /v1/zones?wait=1s", nil, 400, "unknown_parameter", []string{"wait"}},
		{"a broken query", "GET /v1/zones?a=%zz", nil, 400, "invalid_parameter", nil},
		{"two keys", "POST /v1/sessions", []func(*http.Request){header("Idempotency-Key", "a"), header("Idempotency-Key", "b")}, 400, "invalid_parameter", []string{"Idempotency-Key"}},
		{"an empty key", "POST /v1/sessions", []func(*http.Request){header("Idempotency-Key", "")}, 400, "invalid_parameter", []string{"Idempotency-Key"}},
		{"no content type", "POST /v1/sessions", []func(*http.Request){func(r *http.Request) { r.Header.Del("Content-Type") }}, 415, "unsupported_media_type", nil},
		{"a form", "POST /v1/sessions", []func(*http.Request){func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }}, 415, "unsupported_media_type", nil},
		{"unknown path", "GET /v1/nothing", nil, 404, "route_not_found", nil},
		{"no such top", "GET /", nil, 404, "route_not_found", nil},
		{"a slash too many", "GET /v1/zones/", nil, 404, "route_not_found", nil},
		{"a slash in a name", "GET /v1/zones/a%2Fb", nil, 404, "route_not_found", nil},
		{"wrong method", "PATCH /v1/sessions", nil, 405, "method_not_allowed", nil},
		{"no such session", "GET /v1/sessions/gr-none", nil, 404, "not_found", nil},
		{"no such zone", "DELETE /v1/zones/none", nil, 404, "not_found", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			method, path, _ := strings.Cut(tt.to, " ")
			in := ""
			if method == "POST" || method == "PUT" {
				in = body
			}
			f := newFake()
			newEdge(t, f).do(method, path, in, tt.adjust...).expect(t, tt.status, tt.code, tt.fields...)
			if f.last.Image != "" {
				t.Error("the broker was called")
			}
		})
	}
	t.Run("a body too large", func(t *testing.T) {
		in := `{"image":"` + strings.Repeat("x", 1<<20) + `"}`
		newEdge(t, newFake()).do("POST", "/v1/sessions", in).expect(t, 413, "body_too_large")
	})
	t.Run("the methods of a path", func(t *testing.T) {
		got := newEdge(t, newFake()).do("POST", "/v1/zones/east", "{}")
		got.expect(t, 405, "method_not_allowed")
		allow := got.header.Get("Allow")
		for _, m := range []string{"GET", "PUT", "DELETE"} {
			if !strings.Contains(allow, m) {
				t.Errorf("Allow: %q lacks %s", allow, m)
			}
		}
	})
}
