package httpapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestTheRateOfAUser counts the launches with the user's own token, and those of launchers that
// name the user, together. Other users have their own.
func TestTheRateOfAUser(t *testing.T) {
	portal, secret := access.NewToken(access.TokenRequest{Name: "portal", Role: access.Launcher}, time.Now())
	tokens := access.NewTokens([]access.Token{portal}, 1, nil)
	const rate = 1.0 / 600
	for what, guard := range map[string]access.Guard{
		"guarded": {
			On: true, Tokens: func() *access.Tokens { return tokens },
			Issuer: canned{"a.user.x": {Role: access.User, Subject: "u-1"}, "b.user.x": {Role: access.User, Subject: "u-2"}},
		},
		"open": {},
	} {
		e := newEdge(t, newFake(), func(o *httpapi.Options) { o.Guard, o.UserRate = guard, rate })
		launchAs := func(token, body string) answer {
			return e.do("POST", "/v1/sessions", body, header("Authorization", "Bearer "+token))
		}
		named := func(user string) string { return `{"image":"demo","zone":"east","user":{"id":"` + user + `"}}` }
		if got := launchAs(secret, named("u-1")); got.status != 201 {
			t.Fatalf("%s: the first: %d %s", what, got.status, got.body)
		}
		for _, token := range []string{secret, "a.user.x"} {
			got := launchAs(token, named("u-1"))
			got.expect(t, 429, "rate_limited")
			if after := got.header.Get("Retry-After"); after != "600" && after != "599" {
				t.Errorf("%s: Retry-After %q: one that was refused must not put the next off", what, after)
			}
		}
		if got := launchAs("b.user.x", named("u-2")); got.status != 201 {
			t.Errorf("%s: another user's launch: %d %s", what, got.status, got.body)
		}
	}
	e := newEdge(t, newFake())
	for range 100 {
		if got := e.do("POST", "/v1/sessions", launchBody); got.status != 201 {
			t.Fatalf("without a rate: %d %s", got.status, got.body)
		}
	}
}

// TestAUsersOwnToken launches for its user only, and sees only that user's sessions.
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
		`{"image":"demo","zone":"east"}`:                                                  201,
		`{"image":"demo","zone":"east","user":{"id":"u-1"}}`:                              201,
		`{"image":"demo","zone":"east","user":{"id":"u-2"}}`:                              403,
		`{"image":"demo","zone":"east","user":{"name":"Alice"}}`:                          201,
		`{"image":"demo","zone":"east","user":{"id":"u-1","name":"mallory"}}`:             403,
		`{"image":"demo","zone":"east","groups":["staff"]}`:                               403,
		`{"image":"demo","zone":"east","environment":{"LD_PRELOAD":"/tmp/x.so"}}`:         403,
		`{"image":"demo","zone":"east","user_environment":{"COURSE_ID":"7"},"groups":[]}`: 201,
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
	// A session that does not exist is no denied call.
	if len(f.audits) != 6 || f.audits[0].Who != "user:u-1" {
		t.Errorf("the audit records are %+v", f.audits)
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
