package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// roleTable says, in letters, who may call each operation: a admin, l launcher,
// v viewer, u a user; o for everybody, with a token or without. It is written
// beside the rules and not made of them. An operation of openapi.yaml that is not
// in it fails the test.
var roleTable = map[string]string{
	"createSession": "alu", "listSessions": "alvu", "getSession": "alvu", "endSession": "alu", "keepSessionAlive": "alu",
	"authorizeSession": "o",
	"streamEvents":     "alv", "getStatus": "alv",
	"listStaging": "alv", "getStaging": "alv", "putStaging": "a", "deleteStaging": "a",
	"listZones": "alv", "getZone": "alv", "putZone": "a", "deleteZone": "a",
	"listImages": "alv", "getImage": "alv", "putImage": "a", "deleteImage": "a",
	"listGroups": "alv", "getGroup": "alv", "putGroup": "a", "deleteGroup": "a",
	"checkResources": "a",
	"listTokens":     "a", "createToken": "a", "revokeToken": "a", "bootstrap": "o",
	"login": "o", "logout": "o", "getSelf": "alvu", "getHistory": "alv",
	"getOpenAPI": "o", "getDocs": "o", "getLive": "o", "getReady": "o", "getMetrics": "o",
}

// bodies are those of the operations that need one.
var bodies = map[string]string{
	"createSession":  launchBody,
	"putStaging":     `{"zone":"east","image":"demo","desired_sessions":0}`,
	"putZone":        `{"datacenters":["dc1"]}`,
	"putImage":       `{"jobspec":"job"}`,
	"putGroup":       `{"priority":1}`,
	"checkResources": `{}`,
	"createToken":    `{"name":"n","role":"viewer"}`,
}

// canned is an issuer that knows its users by name.
type canned map[string]access.Caller

func (i canned) Identify(_ context.Context, jwt string) (access.Caller, error) {
	c, ok := i[jwt]
	switch {
	case ok:
		return c, nil
	case jwt == "a.way.x":
		return c, &access.UnavailableError{What: "the OpenID Connect issuer", Cause: fmt.Errorf("dial tcp 10.1.2.3: secret")}
	}
	return c, &access.RefusedError{Reason: "this token is not one that the issuer signed"}
}

// TestTheRoleTable calls every operation with each role, without a token, and with
// one that is wrong, expired or revoked.
func TestTheRoleTable(t *testing.T) {
	now := time.Now()
	// Who follows the events is let go at once.
	over, end := context.WithCancel(t.Context())
	end()
	var stored []access.Token
	make := func(name string, r access.TokenRequest, at time.Time) string {
		r.Name = name
		token, secret := access.NewToken(r, at)
		stored = append(stored, token)
		return secret
	}
	shown := map[string]string{
		"a": make("admin", access.TokenRequest{Role: access.Admin}, now),
		"l": make("launcher", access.TokenRequest{Role: access.Launcher}, now),
		"v": make("viewer", access.TokenRequest{Role: access.Viewer}, now),
		"u": "a.user.x",
	}
	expired := make("expired", access.TokenRequest{Role: access.Admin, ExpiresIn: staging.Duration(time.Minute)}, now.Add(-time.Hour))
	tokens := access.NewTokens(stored, 1, nil)
	_, revoked := access.NewToken(access.TokenRequest{Name: "revoked", Role: access.Admin}, now)
	strangers := map[string]string{
		"no token": "", "a wrong one": "grt_wrong", "an expired one": expired, "a revoked one": revoked, "a wrong JWT": "w.rong.x",
	}
	guard := access.Guard{
		On: true, Agent: access.Hash("the agent's"), Tokens: func() *access.Tokens { return tokens },
		Issuer: canned{"a.user.x": {Role: access.User, Subject: "u-1"}},
	}

	for path, item := range newEdge(t, newFake()).contract.Paths() {
		for method, op := range item.Operations() {
			who, ok := roleTable[op.OperationID]
			if !ok {
				t.Errorf("%s (%s %s) is in no row of the table of roles: add it here and in internal/access/rules.go", op.OperationID, method, path)
				continue
			}
			if !access.Known(op.OperationID) {
				t.Errorf("%s has no rule in internal/access/rules.go", op.OperationID)
			}
			call := func(token string) (answer, *fake, *edge) {
				f := newFake()
				f.sessions["gr-1"] = assignedSession()
				// Without the broker's own token, so that bootstrap is what it is at first.
				g := guard
				if op.OperationID == "bootstrap" {
					g.Agent = ""
				}
				e := newEdge(t, f, func(o *httpapi.Options) { o.Guard, o.Ending = g, over })
				target := strings.NewReplacer("{id}", "gr-1", "{name}", "east", "{accessor}", "tk-1").Replace(path)
				var adjust []func(*http.Request)
				if token != "" {
					adjust = append(adjust, header("Authorization", "Bearer "+token))
				}
				body := bodies[op.OperationID]
				if token == shown["u"] {
					body = strings.ReplaceAll(body, `,"environment":{"K":"V"}`, "")
				}
				return e.do(method, target, body, adjust...), f, e
			}
			for role, token := range shown {
				got, f, e := call(token)
				denied := got.status == 403 && strings.Contains(string(got.body), `"role_needed"`) || got.status == 401
				if op.OperationID == "authorizeSession" {
					denied = got.status != 401 // it is asked for the session's own token, which none of these is
				}
				may := who == "o" || strings.Contains(who, role)
				if denied == may {
					t.Errorf("%s with role %s: %d %s", op.OperationID, role, got.status, got.body)
				}
				if denied && op.OperationID != "authorizeSession" {
					if p := got.problem(t); !strings.Contains(p.Detail, string(access.RuleFor(op.OperationID).Needs())) {
						t.Errorf("%s with role %s: the answer does not name the role that is needed: %s", op.OperationID, role, p.Detail)
					}
					if len(f.audits) != 1 || f.audits[0].Outcome != staging.AuditDenied || f.audits[0].Operation != op.OperationID || f.audits[0].Who == "nobody" {
						t.Errorf("%s with role %s: auditors were told %+v", op.OperationID, role, f.audits)
					}
				}
				if strings.Contains(e.log.String(), token) {
					t.Errorf("%s: the log has the token", op.OperationID)
				}
			}
			for what, token := range strangers {
				got, f, _ := call(token)
				if let := got.status != 401; let != (who == "o") && op.OperationID != "authorizeSession" {
					t.Errorf("%s with %s: %d %s", op.OperationID, what, got.status, got.body)
				}
				if got.status == 401 && (len(f.audits) != 1 || f.audits[0].Who != "nobody") {
					t.Errorf("%s with %s: auditors were told %+v", op.OperationID, what, f.audits)
				}
			}
			got, _, _ := call("the agent's")
			if got.status == 403 || got.status == 401 && op.OperationID != "authorizeSession" {
				t.Errorf("%s with GREENROOM_TOKEN: %d", op.OperationID, got.status)
			}
		}
	}
	for id := range roleTable {
		if len(operation(t, id)) == 0 {
			t.Errorf("%s is no operation of openapi.yaml", id)
		}
	}
}

// operation finds an operation's path by its id.
func operation(t *testing.T, id string) string {
	for path, item := range newEdge(t, newFake()).contract.Paths() {
		for _, op := range item.Operations() {
			if op.OperationID == id {
				return path
			}
		}
	}
	return ""
}

// TestWhoIsNotKnownNowIsNotCalledAStranger: nor is let in.
func TestWhoIsNotKnownNowIsNotCalledAStranger(t *testing.T) {
	for what, tt := range map[string]struct {
		token, code string
	}{
		"the issuer is away": {"a.way.x", "issuer_unavailable"},
		"no token was read":  {"grt_any", "consul_unavailable"},
	} {
		e := newEdge(t, newFake(), func(o *httpapi.Options) { o.Guard = access.Guard{On: true, Issuer: canned{}} })
		got := e.do("GET", "/v1/sessions", "", header("Authorization", "Bearer "+tt.token))
		got.expect(t, 503, tt.code)
		if got.header.Get("Retry-After") == "" || strings.Contains(string(got.body), "secret") {
			t.Errorf("%s: %v %s", what, got.header, got.body)
		}
	}
}

// TestBootstrapIsClosedWhereThereAreAdministrators: it would be a way in beside them.
func TestBootstrapIsClosedWhereThereAreAdministrators(t *testing.T) {
	for what, tt := range map[string]struct {
		guard access.Guard
		want  int
	}{
		"access alone":                     {access.Guard{On: true}, 201},
		"not guarded":                      {access.Guard{}, 201},
		"GREENROOM_TOKEN":                  {access.Guard{On: true, Agent: access.Hash("t")}, 401},
		"an issuer with administrators":    {access.Guard{On: true, Issuer: canned{}, AdminsElsewhere: true}, 401},
		"an issuer without administrators": {access.Guard{On: true, Issuer: canned{}}, 201},
	} {
		f := newFake()
		e := newEdge(t, f, func(o *httpapi.Options) { o.Guard = tt.guard })
		if got := e.do("POST", "/v1/bootstrap", ""); got.status != tt.want {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
	}
	e := newEdge(t, newFake())
	e.do("POST", "/v1/bootstrap", "")
	e.do("POST", "/v1/bootstrap", "").expect(t, 409, "already_bootstrapped")
}

// TestAUsersOwnToken launches for its user, and sees that user's sessions alone.
func TestAUsersOwnToken(t *testing.T) {
	f := newFake()
	mine, theirs, nobodys := assignedSession(), assignedSession(), assignedSession()
	theirs.ID, theirs.User = "gr-2", &staging.User{ID: "u-2"}
	nobodys.ID, nobodys.User = "gr-3", nil
	f.sessions["gr-1"], f.sessions["gr-2"], f.sessions["gr-3"] = mine, theirs, nobodys
	e := newEdge(t, f, func(o *httpapi.Options) {
		o.Guard = access.Guard{On: true, Issuer: canned{"a.user.x": {Role: access.User, Subject: "u-1", UserName: "Alice", Groups: []string{"students"}}}}
	})
	as := header("Authorization", "Bearer a.user.x")
	for body, want := range map[string]int{
		`{"image":"demo","zone":"east"}`:                                                201,
		`{"image":"demo","zone":"east","user":{"id":"u-1"}}`:                            201,
		`{"image":"demo","zone":"east","user":{"id":"u-2"}}`:                            403,
		`{"image":"demo","zone":"east","groups":["staff"]}`:                             403,
		`{"image":"demo","zone":"east","environment":{"LD_PRELOAD":"/tmp/x.so"}}`:       403,
		`{"image":"demo","zone":"east","user_environment":{"EDITOR":"vi"},"groups":[]}`: 201,
	} {
		got := e.do("POST", "/v1/sessions", body, as)
		if got.status != want {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
		if want == 201 && (f.last.User != staging.User{ID: "u-1", Name: "Alice"} || len(f.last.Groups) != 1 || f.last.Groups[0] != "students" || !f.last.GroupsOfProvider) {
			t.Errorf("%s: launched as %+v", body, f.last)
		}
		if want == 403 {
			got.problem(t)
		}
	}
	f.audits = nil
	list := string(e.do("GET", "/v1/sessions", "", as).body)
	if !strings.Contains(list, `"gr-1"`) || strings.Contains(list, `"gr-2"`) || strings.Contains(list, `"gr-3"`) {
		t.Errorf("the list: %s", list)
	}
	for _, id := range []string{"gr-2", "gr-3", "gr-4"} {
		for _, call := range [][2]string{{"GET", ""}, {"POST", "/keepalive"}, {"DELETE", ""}} {
			got := e.do(call[0], "/v1/sessions/"+id+call[1], "", as)
			got.expect(t, 404, "not_found")
		}
	}
	if len(f.sessions) != 3 {
		t.Error("another's session was ended")
	}
	// Those that are not there are no denial.
	if len(f.audits) != 6 || f.audits[0].Who != "user:u-1" {
		t.Errorf("auditors were told %+v", f.audits)
	}
	for call, want := range map[string]int{"GET ": 200, "POST /keepalive": 200, "DELETE ": 204} {
		method, path, _ := strings.Cut(call, " ")
		if method == "DELETE" {
			continue // last, below
		}
		if got := e.do(method, "/v1/sessions/gr-1"+path, "", as); got.status != want {
			t.Errorf("%s of the user's own: %d %s", call, got.status, got.body)
		}
	}
	if got := e.do("DELETE", "/v1/sessions/gr-1", "", as); got.status != 204 {
		t.Errorf("ending the user's own: %d %s", got.status, got.body)
	}
}

// TestATokensRateBoundsItsLaunches, and nobody else's.
func TestATokensRateBoundsItsLaunches(t *testing.T) {
	slow, slowSecret := access.NewToken(access.TokenRequest{Name: "slow", Role: access.Launcher, Rate: 1.0 / 600}, time.Now())
	other, otherSecret := access.NewToken(access.TokenRequest{Name: "other", Role: access.Launcher}, time.Now())
	tokens := access.NewTokens([]access.Token{slow, other}, 1, nil)
	e := newEdge(t, newFake(), func(o *httpapi.Options) {
		o.Guard = access.Guard{On: true, Tokens: func() *access.Tokens { return tokens }}
	})
	if got := e.do("POST", "/v1/sessions", launchBody, header("Authorization", "Bearer "+slowSecret)); got.status != 201 {
		t.Fatalf("the first: %d %s", got.status, got.body)
	}
	for range 3 {
		got := e.do("POST", "/v1/sessions", launchBody, header("Authorization", "Bearer "+slowSecret))
		got.expect(t, 429, "rate_limited")
		if after := got.header.Get("Retry-After"); after != "600" && after != "599" {
			t.Errorf("Retry-After %q: one that was refused must not put the next off", after)
		}
		if got := e.do("GET", "/v1/sessions", "", header("Authorization", "Bearer "+slowSecret)); got.status != 200 {
			t.Errorf("reading is bounded as well: %d", got.status)
		}
		if got := e.do("POST", "/v1/sessions", launchBody, header("Authorization", "Bearer "+otherSecret)); got.status != 201 {
			t.Errorf("another's launch: %d", got.status)
		}
	}
}

// TestASecretIsToldOnce: no answer but the one that made it has it, or its hash.
func TestASecretIsToldOnce(t *testing.T) {
	f := newFake()
	e := newEdge(t, f)
	var made httpapi.CreatedToken
	got := e.do("POST", "/v1/tokens", `{"name":"portal","role":"launcher","expires_in":"720h","rate":0.5}`)
	if err := json.Unmarshal(got.body, &made); err != nil {
		t.Fatal(err)
	}
	if got.status != 201 || len(made.Secret) < 43 || made.Rate != 0.5 || made.ExpiresAt.IsZero() || got.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	list := string(e.do("GET", "/v1/tokens", "").body)
	if !strings.Contains(list, made.Accessor) || strings.Contains(list, made.Secret) || strings.Contains(list, access.Hash(made.Secret)) {
		t.Errorf("the list: %s", list)
	}
	if got := e.do("DELETE", "/v1/tokens/"+made.Accessor, ""); got.status != 204 {
		t.Errorf("revoke: %d", got.status)
	}
	e.do("DELETE", "/v1/tokens/"+made.Accessor, "").expect(t, 404, "not_found")
	for body, field := range map[string]string{
		`{"name":"","role":"viewer"}`:                     "name",
		`{"name":"n","role":"user"}`:                      "role",
		`{"name":"n","role":"root"}`:                      "role",
		`{"name":"n","role":"viewer","rate":-1}`:          "rate",
		`{"name":"n","role":"viewer","rate":1e9}`:         "rate",
		`{"name":"n","role":"viewer","expires_in":"-1h"}`: "expires_in",
	} {
		e.do("POST", "/v1/tokens", body).expect(t, 422, "invalid_field", field)
	}
	e.do("POST", "/v1/tokens", `{"name":"n","role":"viewer","rate":"5"}`).expect(t, 400, "invalid_type", "rate")
}

// TestATokenInAPathIsNotWritten: some take a token for its accessor, or put it where a
// name belongs. The log and the auditors must not have it.
func TestATokenInAPathIsNotWritten(t *testing.T) {
	admin, secret := access.NewToken(access.TokenRequest{Name: "n", Role: access.Admin}, time.Now())
	tokens := access.NewTokens([]access.Token{admin}, 1, nil)
	f := newFake()
	e := newEdge(t, f, func(o *httpapi.Options) {
		o.Guard = access.Guard{On: true, Tokens: func() *access.Tokens { return tokens }}
	})
	mine := header("Authorization", "Bearer "+secret)
	e.do("DELETE", "/v1/tokens/"+secret, "", mine)
	e.do("GET", "/v1/sessions/"+secret, "", mine)
	e.do("GET", "/v1/sessions/"+secret, "")
	e.do("GET", "/v1/"+secret, "")
	e.do("GET", "/v1/zones", "", header("X-Request-Id", secret))
	if log := e.log.String(); strings.Contains(log, secret) || !strings.Contains(log, "/v1/tokens/(hidden)") {
		t.Errorf("the log:\n%s", log)
	}
	if told := fmt.Sprint(f.audits); strings.Contains(told, secret) || !strings.Contains(told, "(hidden)") {
		t.Errorf("auditors were told: %s", told)
	}
}
