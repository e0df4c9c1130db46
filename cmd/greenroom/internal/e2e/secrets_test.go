package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestSecretsRotateWithoutEndingSessions: a login and a session's token of before a rotation
// work at both brokers after it, for the overlap; new ones are made with the new keys; and
// without an overlap the old ones are refused, while the session stays.
func TestSecretsRotateWithoutEndingSessions(t *testing.T) {
	c, d := startCluster(t, 0)
	one, oneAgent := guardedBroker(t, c, d)
	other, otherAgent := guardedBroker(t, c, d)
	brokers := []*devProcess{one, other}
	admin, errs, err := one.greenroom("", "bootstrap")
	if err != nil {
		t.Fatal(err, errs)
	}
	other.untilStatus(t, "the administrator's token counts there", admin, 200)
	key := append(bearer(admin), "Idempotency-Key", t.Name())
	var first launched
	one.ask(t, "POST", "/v1/sessions", launch("mock", "east", "amy"), 201, &first, key...)
	login := func(at *devProcess) string {
		t.Helper()
		r := at.ask(t, "POST", "/v1/login", map[string]string{"token": admin}, 204, nil)
		cookie, _, _ := strings.Cut(r.header.Get("Set-Cookie"), ";")
		return cookie
	}
	// status is that of a call with a session's token, or with the cookie of a login.
	status := func(at *devProcess, token, cookie string) int {
		t.Helper()
		path, headers := "/v1/sessions/"+first.ID+"/authorize", bearer(token)
		if cookie != "" {
			path, headers = "/v1/self", []string{"Cookie", cookie}
		}
		r, err := at.call("GET", path, "", headers...)
		must(t, err)
		return r.status
	}
	everywhere := func(what, token, cookie string, want int) {
		t.Helper()
		for n, at := range brokers {
			until(t, fmt.Sprintf("%s is answered with %d by broker %d", what, want, n), func() (bool, string) {
				got := status(at, token, cookie)
				return got == want, fmt.Sprint(got)
			})
		}
	}
	cookie := login(one)
	everywhere("a token of before", first.Token, "", 200)
	everywhere("a login of before", "", cookie, 200)

	rotate := func(overlap string) {
		t.Helper()
		out, errs, err := one.greenroom(admin, "secrets", "rotate", "--overlap", overlap)
		if err != nil || !strings.Contains(out, "accepted until") {
			t.Fatal(err, out, errs)
		}
	}
	rotate("1h")
	// Not until: nobody is cut off for a moment.
	for n, at := range brokers {
		if token, login := status(at, first.Token, ""), status(at, "", cookie); token != 200 || login != 200 {
			t.Errorf("broker %d answers the old token with %d, the old login with %d", n, token, login)
		}
	}
	newest := func(at *devProcess, before string) (token string) {
		t.Helper()
		until(t, "the same launch is answered with a token of the new key", func() (bool, string) {
			var again launched
			at.ask(t, "POST", "/v1/sessions", launch("mock", "east", "amy"), 201, &again, key...)
			if again.ID != first.ID {
				t.Fatalf("another session: %s, and it was %s", again.ID, first.ID)
			}
			token = again.Token
			return token != before, token
		})
		return token
	}
	second := newest(one, first.Token)
	if there := newest(other, first.Token); there != second {
		t.Error("two brokers sign with different keys")
	}
	everywhere("a token of the new key", second, "", 200)
	everywhere("a token of before, in the overlap", first.Token, "", 200)
	everywhere("a login of before, in the overlap", "", cookie, 200)
	fresh := login(other)
	everywhere("a login of the new key", "", fresh, 200)

	rotate("0s")
	everywhere("a token without overlap", second, "", 401)
	everywhere("the first token", first.Token, "", 401)
	everywhere("a login without overlap", "", fresh, 401)
	everywhere("a token of the last key", newest(other, second), "", 200)
	everywhere("a login of the last key", "", login(other), 200)
	var now launched
	other.ask(t, "GET", "/v1/sessions/"+first.ID, nil, 200, &now, bearer(admin)...)
	if now.State != string(staging.Assigned) {
		t.Errorf("the session is %s", now.State)
	}
	for what, log := range map[string]string{"one": oneAgent.Log.String(), "the other": otherAgent.Log.String()} {
		if rotated := strings.Count(log, "operation=rotateSecrets"); (what == "one") != (rotated == 2) || strings.Contains(log, first.Token) {
			t.Errorf("the log of %s has %d rotations, or a token:\n%s", what, rotated, log)
		}
	}
}
