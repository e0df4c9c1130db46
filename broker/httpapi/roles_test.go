package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// roleTable lists the roles that may call each operation: a admin, l launcher, v viewer,
// u user; o for everybody, with a token or without. After it comes what a token of such a role
// gets whose scope has nothing of what is called for: "-" where a scope does not matter. It is
// written by hand and not derived from the rules. An operation of openapi.yaml that it lacks
// fails the test.
var roleTable = map[string]string{
	"createSession": "alu 403", "listLaunchable": "alu 403", "listSessions": "alvu 200", "getSession": "alvu 404", "getSessionLogs": "a 404", "endSession": "alu 404", "keepSessionAlive": "alu 404", "extendSession": "alu 404", "linkSession": "alu 404", "runInSession": "a 404",
	"authorizeSession": "o -",
	"streamEvents":     "alv 200", "getStatus": "alv 200",
	"listStaging": "alv 200", "getStaging": "alv 404", "putStaging": "a 422", "deleteStaging": "a 404",
	"recycleStaging": "a 404", "retryStaging": "a 404", "listPauses": "alv 200", "pausePools": "a 403", "resumePools": "a 403",
	"listZones": "alv 200", "getZone": "alv 404", "putZone": "a 403", "deleteZone": "a 404",
	"listImages": "alv 200", "getImage": "alv 404", "putImage": "a 403", "deleteImage": "a 404",
	"listGroups": "alv 200", "getGroup": "alv 404", "putGroup": "a 403", "deleteGroup": "a 404",
	"checkResources":  "a 403",
	"getInstallation": "alv 200", "takeOverInstallation": "a 403",
	"rotateSecrets": "a 403",
	"listWebhooks":  "a 403", "getWebhook": "a 403", "putWebhook": "a 403", "deleteWebhook": "a 403",
	"getWebhookDeliveries": "a 403", "listDeadLetters": "a 403", "replayDeadLetters": "a 403", "testWebhook": "a 403",
	"listTokens": "a 200", "createToken": "a 403", "revokeToken": "a 404", "rotateToken": "a 404", "bootstrap": "o -",
	"listLockedUsers": "a 403", "lockUser": "a 403", "unlockUser": "a 403",
	"login": "o -", "logout": "o -", "getLogin": "o -", "beginLogin": "o -", "finishLogin": "o -", "getSelf": "alvu 200", "getHistory": "alv 404",
	"getOpenAPI": "o -", "getDocs": "o -", "getLive": "o -", "getReady": "o -", "getMetrics": "o -",
}

// bodies are those of the operations that need one.
var bodies = map[string]string{
	"createSession":        launchBody,
	"runInSession":         `{"cmd":["true"]}`,
	"extendSession":        `{"by":"30m"}`,
	"putStaging":           `{"zone":"east","image":"demo","desired_sessions":0}`,
	"recycleStaging":       `{}`,
	"pausePools":           `{}`,
	"putZone":              `{"datacenters":["dc1"]}`,
	"putImage":             `{"jobspec":"job"}`,
	"putGroup":             `{"priority":1}`,
	"checkResources":       `{"zones":[{"name":"east","datacenters":["dc1"]}]}`,
	"takeOverInstallation": `{"id":"none"}`,
	"rotateSecrets":        `{"overlap":"24h"}`,
	"putWebhook":           `{"url":"http://127.0.0.1:1/","secret":"whsec_Z3JlZW5yb29tLXdlYmhvb2stc2VjcmV0LWV4YW1wbGU="}`,
	"replayDeadLetters":    `{}`,
	"createToken":          `{"name":"n","role":"viewer"}`,
	"rotateToken":          `{}`,
	"lockUser":             `{"user_id":"u-9"}`,
}

// canned is an issuer with a fixed set of tokens.
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

// TestTheRoleTable calls every operation with each role, without a token, and with a token
// that is wrong, expired or revoked.
func TestTheRoleTable(t *testing.T) {
	now := time.Now()
	// Streams of events end at once.
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
			who, _, ok := strings.Cut(roleTable[op.OperationID], " ")
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
				// Without the broker's own token, since with it bootstrap is closed.
				g := guard
				if op.OperationID == "bootstrap" {
					g.Agent = ""
				}
				e := newEdge(t, f, func(o *httpapi.Options) { o.Guard, o.Ending = g, over })
				target := strings.NewReplacer("{id}", "gr-1", "{name}", "east", "{accessor}", "tk-1").Replace(path)
				if op.OperationID == "unlockUser" {
					target += "?user_id=u-9"
				}
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
						t.Errorf("%s with role %s: the audit records are %+v", op.OperationID, role, f.audits)
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
					t.Errorf("%s with %s: the audit records are %+v", op.OperationID, what, f.audits)
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

// TestWhoIsNotKnownNowIsNotCalledAStranger: a token that cannot be checked now is answered
// with 503, not 401, and is not accepted.
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

// everywhere is a broker with one resource of each kind, all called east, a session and a token.
func everywhere() *fake {
	f := newFake()
	f.sessions["gr-1"] = assignedSession()
	f.zones["east"] = staging.Zone{Name: "east", Datacenters: []string{"dc1"}}
	f.images["east"] = staging.Image{Name: "east", Jobspec: "job"}
	f.groups["east"] = staging.Group{Name: "east"}
	f.pools["east"] = status.Pool{Config: staging.Config{Name: "east", Zone: "east", Image: "east"}, Fill: staging.Full}
	f.tokens["tk-1"] = access.Token{Accessor: "tk-1", Name: "portal", Role: access.Viewer}
	f.status = status.Status{Foreign: 7777, Zones: []status.ZoneStatus{{Name: "east", Pools: []status.PoolStatus{{Pool: f.pools["east"]}}}}}
	f.pages = []fakePage{{events: []staging.Event{
		{ID: "1-0", Type: staging.EventAssigned, Session: "gr-1"},
		{ID: "2-0", Type: staging.EventConditions, Pool: "east"},
		{ID: "3-0", Type: staging.EventViolation, Zone: "east"},
		{ID: "4-0", Type: staging.EventAudit, Audit: staging.Audit{Target: "gr-1"}},
	}}}
	return f
}

// TestTheRoleTablesColumnOfScopes calls every operation with each of its roles, with a token
// whose scope has nothing of what there is.
func TestTheRoleTablesColumnOfScopes(t *testing.T) {
	outside := access.Scope{Images: []string{"other"}, Zones: []string{"other"}, Groups: []string{"other"}, UserPrefix: "other-"}
	for path, item := range newEdge(t, newFake()).contract.Paths() {
		for method, op := range item.Operations() {
			roles, column, _ := strings.Cut(roleTable[op.OperationID], " ")
			if column == "-" {
				if !access.RuleFor(op.OperationID).Open {
					t.Errorf("%s: only what is open is the same for every scope", op.OperationID)
				}
				continue
			}
			want, err := strconv.Atoi(column)
			if err != nil {
				t.Errorf("%s has no column of scopes in the table of roles: %v", op.OperationID, err)
			}
			for letter, role := range map[string]access.Role{"a": access.Admin, "l": access.Launcher, "v": access.Viewer} {
				if !strings.Contains(roles, letter) {
					continue
				}
				g, secret := scopedGuard(role, outside)
				f := everywhere()
				over, end := context.WithCancel(t.Context())
				defer end()
				f.drained = end
				e := newEdge(t, f, func(o *httpapi.Options) { o.Guard, o.Ending = g, over })
				target := strings.NewReplacer("{id}", "gr-1", "{name}", "east", "{accessor}", "tk-1").Replace(path)
				got := e.do(method, target, bodies[op.OperationID], header("Authorization", "Bearer "+secret))
				if got.status != want {
					t.Errorf("%s with role %s: %d, want %d: %s", op.OperationID, role, got.status, want, got.body)
				}
				if shown := string(got.body); got.status == 200 && op.OperationID != "getSelf" {
					for _, secret := range []string{"gr-1", "east", "tk-1", "7777"} {
						if strings.Contains(shown, secret) {
							t.Errorf("%s with role %s shows %s: %s", op.OperationID, role, secret, shown)
						}
					}
				}
				if n := len(f.sessions) + len(f.zones) + len(f.images) + len(f.groups) + len(f.pools) + len(f.tokens); n != 6 || f.last.Image != "" {
					t.Errorf("%s with role %s changed something: %+v", op.OperationID, role, f)
				}
			}
		}
	}
}
