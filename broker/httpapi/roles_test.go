package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// roleTable lists the roles that may call each operation: a admin, l launcher, v viewer,
// u user; o for everybody, with a token or without. It is written by hand and not derived
// from the rules. An operation of openapi.yaml that it lacks fails the test.
var roleTable = map[string]string{
	"createSession": "alu", "listSessions": "alvu", "getSession": "alvu", "endSession": "alu", "keepSessionAlive": "alu",
	"authorizeSession": "o",
	"streamEvents":     "alv", "getStatus": "alv",
	"listStaging": "alv", "getStaging": "alv", "putStaging": "a", "deleteStaging": "a",
	"listZones": "alv", "getZone": "alv", "putZone": "a", "deleteZone": "a",
	"listImages": "alv", "getImage": "alv", "putImage": "a", "deleteImage": "a",
	"listGroups": "alv", "getGroup": "alv", "putGroup": "a", "deleteGroup": "a",
	"checkResources":  "a",
	"getInstallation": "alv", "takeOverInstallation": "a",
	"rotateSecrets": "a",
	"listTokens":    "a", "createToken": "a", "revokeToken": "a", "bootstrap": "o",
	"login": "o", "logout": "o", "getLogin": "o", "beginLogin": "o", "finishLogin": "o", "getSelf": "alvu", "getHistory": "alv",
	"getOpenAPI": "o", "getDocs": "o", "getLive": "o", "getReady": "o", "getMetrics": "o",
}

// bodies are those of the operations that need one.
var bodies = map[string]string{
	"createSession":        launchBody,
	"putStaging":           `{"zone":"east","image":"demo","desired_sessions":0}`,
	"putZone":              `{"datacenters":["dc1"]}`,
	"putImage":             `{"jobspec":"job"}`,
	"putGroup":             `{"priority":1}`,
	"checkResources":       `{}`,
	"takeOverInstallation": `{"id":"none"}`,
	"rotateSecrets":        `{"overlap":"24h"}`,
	"createToken":          `{"name":"n","role":"viewer"}`,
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
				// Without the broker's own token, since with it bootstrap is closed.
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
