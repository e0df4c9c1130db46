package httpapi_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// scopedGuard knows one token, with a scope.
func scopedGuard(role access.Role, scope access.Scope) (g access.Guard, secret string) {
	token, secret := access.NewToken(access.TokenRequest{Name: "tenant", Role: role, Scope: scope}, time.Now())
	return guardOf(token), secret
}

func guardOf(all ...access.Token) access.Guard {
	tokens := access.NewTokens(all, 1, nil)
	return access.Guard{On: true, Tokens: func() *access.Tokens { return tokens }}
}

// acme is what one tenant has of an installation.
var acme = access.Scope{Images: []string{"demo", "office"}, Zones: []string{"east"}, Groups: []string{"staff"}, UserPrefix: "acme-"}

// shared is a broker with the sessions and resources of two tenants.
func shared() *fake {
	f := newFake()
	for id, change := range map[string]func(*staging.Session){
		"gr-mine":   func(s *staging.Session) { s.User = &staging.User{ID: "acme-amy"} },
		"gr-theirs": func(s *staging.Session) { s.User = &staging.User{ID: "umbrella-bob"} },
		"gr-image":  func(s *staging.Session) { s.User = &staging.User{ID: "acme-amy"}; s.Image = "secret" },
		"gr-zone":   func(s *staging.Session) { s.User = &staging.User{ID: "acme-amy"}; s.Zone = "west" },
		"gr-unused": func(s *staging.Session) { s.User, s.State = nil, staging.Ready },
	} {
		s := assignedSession()
		change(&s)
		s.ID = id
		f.sessions[id] = s
	}
	for _, zone := range []string{"east", "west"} {
		f.zones[zone] = staging.Zone{Name: zone, Datacenters: []string{"dc1"}}
		for _, image := range []string{"demo", "secret"} {
			f.images[image] = staging.Image{Name: image, Jobspec: "job"}
			c := staging.Config{Name: image + "-" + zone, Zone: zone, Image: image}
			f.pools[c.Name] = status.Pool{Config: c, Fill: staging.Full}
		}
	}
	f.groups["staff"], f.groups["root"] = staging.Group{Name: "staff"}, staging.Group{Name: "root"}
	return f
}

// TestAScopeBoundsLaunches: users, groups, and, in broker/launch, images and zones.
func TestAScopeBoundsLaunches(t *testing.T) {
	g, secret := scopedGuard(access.Launcher, acme)
	f := shared()
	e := newEdge(t, f, func(o *httpapi.Options) { o.Guard = g })
	as := header("Authorization", "Bearer "+secret)
	for body, field := range map[string]string{
		`{"image":"demo","zone":"east","user":{"id":"umbrella-bob"},"groups":["staff"]}`:           "user.id",
		`{"image":"demo","zone":"east","user":{"id":"acme"},"groups":["staff"]}`:                   "user.id",
		`{"image":"demo","zone":"east","user":{"id":"ACME-amy"},"groups":["staff"]}`:               "user.id",
		`{"image":"demo","zone":"east","user":{"id":"acme-amy"},"groups":["staff","root"]}`:        "groups[1]",
		`{"image":"demo","zone":"east","user":{"id":"acme-amy"}}`:                                  "groups",
		`{"image":"demo","zone":"east","user":{"id":"acme-amy","name":"x"},"groups":[],"count":2}`: "groups",
	} {
		p := e.do("POST", "/v1/sessions", body, as).expect(t, 403, "forbidden", field)
		if !strings.Contains(p.Detail, "users acme-*") {
			t.Errorf("%s: the answer does not name the scope: %s", body, p.Detail)
		}
	}
	if f.last.Image != "" || len(f.audits) != 6 {
		t.Errorf("launched %+v, audited %+v", f.last, f.audits)
	}
	got := e.do("POST", "/v1/sessions", `{"image":"demo","zone":"east","user":{"id":"acme-amy"},"groups":["staff"]}`, as)
	if got.status != 201 || f.last.Scope.String() != acme.String() || !strings.HasPrefix(f.last.KeyScope, "token:tk-") {
		t.Errorf("%d %s: launched %+v", got.status, got.body, f.last)
	}
	// The keys of an administrator with a scope are not those that all others share.
	g, secret = scopedGuard(access.Admin, acme)
	e = newEdge(t, f, func(o *httpapi.Options) { o.Guard = g })
	e.do("POST", "/v1/sessions", `{"image":"demo","zone":"east","user":{"id":"acme-amy"},"groups":["staff"]}`, header("Authorization", "Bearer "+secret))
	if !strings.HasPrefix(f.last.KeyScope, "token:tk-") {
		t.Errorf("the keys of an administrator with a scope are in %q", f.last.KeyScope)
	}
}

// TestNoTokenOutlivesItsMaker, also without a scope: who steals a token of an hour has an hour.
func TestNoTokenOutlivesItsMaker(t *testing.T) {
	own, secret := access.NewToken(access.TokenRequest{Name: "short", Role: access.Admin, ExpiresIn: staging.Duration(time.Hour)}, time.Now())
	e := newEdge(t, newFake(), func(o *httpapi.Options) { o.Guard = guardOf(own) })
	as := header("Authorization", "Bearer "+secret)
	var made httpapi.CreatedToken
	got := e.do("POST", "/v1/tokens", `{"name":"n","role":"admin"}`, as)
	must(t, json.Unmarshal(got.body, &made))
	if got.status != 201 || made.ExpiresAt.IsZero() || made.ExpiresAt.After(own.ExpiresAt) {
		t.Errorf("%d: it expires at %s, its maker at %s", got.status, made.ExpiresAt, own.ExpiresAt)
	}
	e.do("POST", "/v1/tokens", `{"name":"n","role":"admin","expires_in":"2h"}`, as).expect(t, 422, "invalid_field", "expires_in")
}

// TestARefusalNamesNothingOutsideAScope: neither sessions nor resources.
func TestARefusalNamesNothingOutsideAScope(t *testing.T) {
	g, secret := scopedGuard(access.Admin, acme)
	f := shared()
	e := newEdge(t, f, func(o *httpapi.Options) { o.Guard = g })
	as := header("Authorization", "Bearer "+secret)
	for _, kind := range []refusal.Kind{refusal.SessionLimit, refusal.ProfileInUse, refusal.InUse} {
		f.fail = &refusal.Error{Kind: kind, Detail: "gr-secret counts", Sessions: []string{"gr-secret"}, Unhealthy: []string{"gr-secret"}}
		got := e.do("POST", "/v1/sessions", `{"image":"demo","zone":"east","user":{"id":"acme-amy"},"groups":["staff"]}`, as)
		if kind == refusal.InUse {
			got = e.do("DELETE", "/v1/zones/east", "", as)
		}
		got.expect(t, 409, string(kind))
		if strings.Contains(string(got.body), "secret") {
			t.Errorf("%s: %s", kind, got.body)
		}
	}
}

// TestAScopeBoundsWhatIsRead: sessions, resources, the status and what is waited for. What is
// outside is as what does not exist.
func TestAScopeBoundsWhatIsRead(t *testing.T) {
	g, secret := scopedGuard(access.Launcher, acme)
	f := shared()
	f.status = status.Status{Zones: []status.ZoneStatus{
		{Name: "east", Known: true, Trusted: true, Pools: []status.PoolStatus{{Pool: f.pools["demo-east"]}, {Pool: f.pools["secret-east"]}}},
		{Name: "west", Known: true, Pools: []status.PoolStatus{{Pool: f.pools["demo-west"]}}},
	}}
	e := newEdge(t, f, func(o *httpapi.Options) { o.Guard = g })
	as := header("Authorization", "Bearer "+secret)
	for path, shown := range map[string]string{
		"/v1/sessions": "gr-mine", "/v1/sessions?user=acme-amy": "gr-mine", "/v1/sessions?zone=west": "", "/v1/sessions?user=umbrella-bob": "",
		"/v1/images": "demo", "/v1/zones": "east", "/v1/groups": "staff", "/v1/staging": "demo-east", "/v1/status": "demo-east",
	} {
		got := e.do("GET", path, "", as)
		if got.status != 200 || !strings.Contains(string(got.body), `"`+shown) {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
		for _, other := range []string{"gr-theirs", "gr-image", "gr-zone", "gr-unused", "secret", "west", "root", "umbrella"} {
			if strings.Contains(string(got.body), other) {
				t.Errorf("%s shows %s: %s", path, other, got.body)
			}
		}
	}
	for _, id := range []string{"gr-theirs", "gr-image", "gr-zone", "gr-unused", "gr-none"} {
		for _, call := range [][2]string{{"GET", ""}, {"GET", "?index=7&wait=1m"}, {"POST", "/keepalive"}, {"DELETE", ""}} {
			got := e.do(call[0], "/v1/sessions/"+id+call[1], "", as)
			p := got.expect(t, 404, "not_found")
			if want := strings.ReplaceAll(`there is no session "ID", or it ended a while ago`, "ID", id); id != "gr-none" && p.Detail != want {
				t.Errorf("%s: %s", call, p.Detail)
			}
		}
	}
	if len(f.sessions) != 5 || f.index != 0 {
		t.Error("a session outside the scope was ended, or waited for")
	}
	for _, call := range [][2]string{{"GET", "?index=7&wait=1ms"}, {"POST", "/keepalive"}, {"DELETE", ""}} {
		if got := e.do(call[0], "/v1/sessions/gr-mine"+call[1], "", as); got.status != 200 && got.status != 204 {
			t.Errorf("%s of a session within: %d %s", call, got.status, got.body)
		}
	}
	for path, want := range map[string]int{
		"/v1/images/demo": 200, "/v1/images/secret": 404, "/v1/zones/east": 200, "/v1/zones/west": 404, "/v1/groups/staff": 200, "/v1/groups/root": 404,
		"/v1/staging/demo-east": 200, "/v1/staging/secret-east": 404, "/v1/staging/demo-west": 404,
		"/v1/history/demo-east": 200, "/v1/history/secret-east": 404,
	} {
		path = strings.Replace(path, "/v1/history/demo-east", strings.Replace(operation(t, "getHistory"), "{name}", "demo-east", 1), 1)
		path = strings.Replace(path, "/v1/history/secret-east", strings.Replace(operation(t, "getHistory"), "{name}", "secret-east", 1), 1)
		if got := e.do("GET", path, "", as); got.status != want {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	var self struct{ Scope access.Scope }
	if err := json.Unmarshal(e.do("GET", "/v1/self", "", as).body, &self); err != nil || self.Scope.String() != acme.String() {
		t.Errorf("the caller's scope is %s, %v", self.Scope, err)
	}
}

// TestAScopeBoundsEvents: of sessions, pools and launches, whatever they are about later.
func TestAScopeBoundsEvents(t *testing.T) {
	g, secret := scopedGuard(access.Admin, acme)
	f := shared()
	over, end := context.WithCancel(t.Context())
	defer end()
	f.drained = end
	f.pages = []fakePage{{events: []staging.Event{
		{ID: "1-0", Type: staging.EventAssigned, Session: "gr-mine"},
		{ID: "2-0", Type: staging.EventAssigned, Session: "gr-theirs"},
		{ID: "3-0", Type: staging.EventReady, Session: "gr-unused", Pool: "demo-east"},
		{ID: "4-0", Type: staging.EventEnded, Session: "gr-gone"},
		{ID: "5-0", Type: staging.EventConditions, Pool: "demo-east"},
		{ID: "6-0", Type: staging.EventConditions, Pool: "secret-east"},
		{ID: "7-0", Type: staging.EventViolation, Zone: "east", Image: "demo", User: "acme-amy"},
		{ID: "8-0", Type: staging.EventViolation, Zone: "east", Image: "demo", User: "umbrella-bob"},
	}}, {events: []staging.Event{{ID: "9-0", Type: staging.EventAudit}, {ID: "10-0", Type: staging.EventEnding, Session: "gr-mine"}}}}
	e := newEdge(t, f, func(o *httpapi.Options) { o.Guard, o.Ending = g, over })
	got := string(e.do("GET", "/v1/events", "", header("Authorization", "Bearer "+secret)).body)
	for _, id := range []string{"1-0", "5-0", "7-0", "10-0"} {
		if !strings.Contains(got, "id: "+id+"\nevent") {
			t.Errorf("event %s is not shown", id)
		}
	}
	if n := strings.Count(got, "event: "); n != 4 || strings.Contains(got, "umbrella") {
		t.Errorf("%d events are shown:\n%s", n, got)
	}
	e.do("GET", "/v1/events?type=audit,ended", "", header("Authorization", "Bearer "+secret)).expect(t, 403, "forbidden")
}

// TestAnAdministratorsScopeBoundsChanges: resources by name, what they name, and sets.
func TestAnAdministratorsScopeBoundsChanges(t *testing.T) {
	g, secret := scopedGuard(access.Admin, acme)
	f := shared()
	e := newEdge(t, f, func(o *httpapi.Options) { o.Guard = g })
	as := header("Authorization", "Bearer "+secret)
	f.pools["taken"] = status.Pool{Config: staging.Config{Name: "taken", Zone: "west", Image: "demo"}, Fill: staging.Full}
	for _, c := range []struct {
		method, path, body string
		status             int
		code               string
		fields             []string
	}{
		{"PUT", "/v1/zones/west", `{"datacenters":["dc1"]}`, 403, "forbidden", []string{"name"}},
		{"PUT", "/v1/zones/east", `{"datacenters":["dc1"],"search_alternate_zones":true,"alternate_zones":["west"]}`, 422, "invalid_field", []string{"alternate_zones[0]"}},
		{"PUT", "/v1/images/secret", `{"jobspec":"mine"}`, 403, "forbidden", []string{"name"}},
		{"PUT", "/v1/images/office", `{"jobspec":"job","restrict_to_zones":["east","west"]}`, 422, "invalid_field", []string{"restrict_to_zones[1]"}},
		{"PUT", "/v1/images/office", `{"jobspec":"job","allowed_groups":["root"]}`, 422, "invalid_field", []string{"allowed_groups[0]"}},
		{"PUT", "/v1/zones/east", `{"datacenters":["dc1"],"allowed_groups":["staff","root"]}`, 422, "invalid_field", []string{"allowed_groups[1]"}},
		{"PUT", "/v1/groups/staff", `{"priority":1,"default":true}`, 403, "forbidden", []string{"default"}},
		{"PUT", "/v1/groups/root", `{"priority":1}`, 403, "forbidden", []string{"name"}},
		{"PUT", "/v1/staging/p", `{"zone":"west","image":"demo","desired_sessions":1}`, 422, "invalid_field", []string{"zone"}},
		{"PUT", "/v1/staging/p", `{"zone":"east","image":"secret","desired_sessions":1}`, 422, "invalid_field", []string{"image"}},
		{"PUT", "/v1/staging/taken", `{"zone":"east","image":"demo","desired_sessions":1}`, 403, "forbidden", []string{"name"}},
		{"POST", "/v1/check", `{"zones":[{"name":"east","datacenters":["d"]},{"name":"west","datacenters":["d"]}]}`, 403, "forbidden", []string{"zones[1].name"}},
		{"POST", "/v1/check", `{"staging":[{"name":"p","zone":"west","image":"demo","desired_sessions":1}]}`, 422, "invalid_field", []string{"staging[0].zone"}},
		{"DELETE", "/v1/zones/west", "", 404, "not_found", nil},
		{"DELETE", "/v1/images/secret", "", 404, "not_found", nil},
		{"DELETE", "/v1/groups/root", "", 404, "not_found", nil},
		{"DELETE", "/v1/staging/taken", "", 404, "not_found", nil},
	} {
		c.path = strings.Replace(c.path, "/v1/check", operation(t, "checkResources"), 1)
		e.do(c.method, c.path, c.body, as).expect(t, c.status, c.code, c.fields...)
	}
	if len(f.zones) != 2 || f.images["secret"].Jobspec != "job" || f.pools["taken"].Zone != "west" || len(f.groups) != 2 {
		t.Errorf("something outside the scope was changed: %+v", f)
	}
	for call, body := range map[string]string{
		"PUT /v1/zones/east": `{"datacenters":["dc1"]}`, "PUT /v1/images/office": `{"jobspec":"job","restrict_to_zones":["east"]}`,
		"PUT /v1/groups/staff": `{"priority":1}`, "PUT /v1/staging/p": `{"zone":"east","image":"demo","desired_sessions":1}`, "DELETE /v1/staging/demo-east": "",
	} {
		method, path, _ := strings.Cut(call, " ")
		if got := e.do(method, path, body, as); got.status >= 300 {
			t.Errorf("%s within the scope: %d %s", call, got.status, got.body)
		}
	}
}

// TestNobodyMakesATokenThatReachesMore, nor sees, rotates or revokes one.
func TestNobodyMakesATokenThatReachesMore(t *testing.T) {
	own, secret := access.NewToken(access.TokenRequest{Name: "tenant", Role: access.Admin, Scope: acme, ExpiresIn: staging.Duration(time.Hour)}, time.Now())
	f := newFake()
	e := newEdge(t, f, func(o *httpapi.Options) { o.Guard = guardOf(own) })
	as := header("Authorization", "Bearer "+secret)
	for id, scope := range map[string]access.Scope{"tk-all": {}, "tk-less": {Images: []string{"demo"}, Zones: []string{"east"}, Groups: []string{"staff"}, UserPrefix: "acme-x"}} {
		f.tokens[id] = access.Token{Accessor: id, Role: access.Viewer, Scope: scope}
	}
	list := string(e.do("GET", "/v1/tokens", "", as).body)
	if !strings.Contains(list, "tk-less") || strings.Contains(list, "tk-all") {
		t.Errorf("the list: %s", list)
	}
	e.do("DELETE", "/v1/tokens/tk-all", "", as).expect(t, 404, "not_found")
	e.do("POST", "/v1/tokens/tk-all/rotate", `{}`, as).expect(t, 404, "not_found")
	within := `"scope":{"images":["demo"],"zones":["east"],"groups":["staff"],"user_prefix":"acme-"}`
	for body, field := range map[string]string{
		`{"name":"n","role":"viewer"}`: "scope",
		`{"name":"n","role":"admin",` + strings.Replace(within, `"demo"`, `"demo","secret"`, 1) + `}`: "scope",
		`{"name":"n","role":"admin",` + strings.Replace(within, `"acme-"`, `"ac"`, 1) + `}`:           "scope",
	} {
		e.do("POST", "/v1/tokens", body, as).expect(t, 403, "forbidden", field)
	}
	e.do("POST", "/v1/tokens", `{"name":"n","role":"admin","expires_in":"2h",`+within+`}`, as).expect(t, 422, "invalid_field", "expires_in")
	for _, call := range [][2]string{{"/v1/tokens", `{"name":"n","role":"admin",` + within + `}`}, {"/v1/tokens/tk-less/rotate", `{}`}} {
		var made httpapi.CreatedToken
		got := e.do("POST", call[0], call[1], as)
		if err := json.Unmarshal(got.body, &made); err != nil || got.status >= 300 || made.ExpiresAt.IsZero() || made.ExpiresAt.After(own.ExpiresAt) {
			t.Errorf("%s: %d %s: lasts longer than the token that made it", call, got.status, got.body)
		}
	}
	if got := e.do("DELETE", "/v1/tokens/tk-less", "", as); got.status != 204 {
		t.Errorf("revoke one within: %d", got.status)
	}
}

// TestARotatedTokenOverlaps: both secrets work until the overlap is over, and no longer. A
// token of before scopes and rotations works on.
func TestARotatedTokenOverlaps(t *testing.T) {
	f := newFake()
	old, was := access.NewToken(access.TokenRequest{Name: "portal", Role: access.Launcher}, time.Now())
	f.tokens[old.Accessor] = old
	admin, root := access.NewToken(access.TokenRequest{Name: "root", Role: access.Admin}, time.Now())
	guard := access.Guard{On: true, Tokens: func() *access.Tokens {
		f.mu.Lock()
		defer f.mu.Unlock()
		return access.NewTokens([]access.Token{admin, f.tokens[old.Accessor]}, 1, nil)
	}}
	e := newEdge(t, f, func(o *httpapi.Options) { o.Guard = guard })
	as := func(secret string) func(*http.Request) { return header("Authorization", "Bearer "+secret) }
	works := func(secret string) bool { return e.do("GET", "/v1/sessions", "", as(secret)).status == 200 }
	rotate := func(body string) httpapi.CreatedToken {
		t.Helper()
		var made httpapi.CreatedToken
		got := e.do("POST", "/v1/tokens/"+old.Accessor+"/rotate", body, as(root))
		if err := json.Unmarshal(got.body, &made); err != nil || got.status != 200 || got.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %s", got.status, got.body)
		}
		return made
	}
	first := rotate(`{}`)
	if first.Accessor != old.Accessor || first.Role != old.Role || first.Secret == was || first.OverlapUntil.Sub(first.RotatedAt) != access.DefaultOverlap {
		t.Errorf("%+v", first)
	}
	if !works(was) || !works(first.Secret) {
		t.Error("one of both secrets does not work")
	}
	second := rotate(`{"overlap":"0s"}`)
	if works(was) || works(first.Secret) || !works(second.Secret) {
		t.Error("an old secret works without an overlap")
	}
	list := string(e.do("GET", "/v1/tokens", "", as(root)).body)
	for _, s := range []string{was, first.Secret, second.Secret, access.Hash(was), access.Hash(second.Secret)} {
		if strings.Contains(list, s) {
			t.Errorf("the list has a secret or its hash: %s", list)
		}
	}
	for body, field := range map[string]string{`{"overlap":"-1s"}`: "overlap", `{"overlap":"200h"}`: "overlap"} {
		e.do("POST", "/v1/tokens/"+old.Accessor+"/rotate", body, as(root)).expect(t, 422, "invalid_field", field)
	}
	e.do("POST", "/v1/tokens/tk-none/rotate", `{}`, as(root)).expect(t, 404, "not_found")
	e.do("POST", "/v1/tokens/"+old.Accessor+"/rotate", `{"overlap":"soon"}`, as(root)).expect(t, 422, "invalid_field", "overlap")
}

// TestTheLastUseOfATokenIsRecorded, once a minute at most, also of a call that its role may not
// make, and not of tokens that are not stored.
func TestTheLastUseOfATokenIsRecorded(t *testing.T) {
	viewer, secret := access.NewToken(access.TokenRequest{Name: "n", Role: access.Viewer}, time.Now())
	guard := guardOf(viewer)
	guard.Agent = access.Hash("the agent's")
	f := newFake()
	f.tokens[viewer.Accessor] = viewer
	e := newEdge(t, f, func(o *httpapi.Options) { o.Guard = guard })
	e.do("GET", "/v1/sessions", "", header("Authorization", "Bearer the agent's"))
	e.do("GET", "/v1/sessions", "")
	if f.lastUses != 0 {
		t.Errorf("a use of no stored token was recorded: %v", f.lastUsed)
	}
	e.do("DELETE", "/v1/zones/east", "", header("Authorization", "Bearer "+secret)).expect(t, 403, "role_needed")
	for range 5 {
		e.do("GET", "/v1/sessions", "", header("Authorization", "Bearer "+secret))
	}
	if f.lastUses != 1 || time.Since(f.lastUsed[viewer.Accessor]) > time.Minute {
		t.Errorf("recorded %d times: %v", f.lastUses, f.lastUsed)
	}
	if list := string(e.do("GET", "/v1/tokens", "", header("Authorization", "Bearer the agent's")).body); !strings.Contains(list, `"last_used":"2`) {
		t.Errorf("the list: %s", list)
	}
}
