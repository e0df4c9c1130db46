package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestATokensScopeAndRotationHoldAtEveryBroker: a token that one broker makes reaches the same at
// another; a rotation overlaps at both; and its last use is shown, whichever served it.
func TestATokensScopeAndRotationHoldAtEveryBroker(t *testing.T) {
	c, d := startCluster(t, 0)
	one, _ := guardedBroker(t, c, d, "--max-token-life", "48h")
	other, _ := guardedBroker(t, c, d)
	admin, errs, err := one.greenroom("", "bootstrap")
	if err != nil {
		t.Fatal(err, errs)
	}
	t.Setenv("NOMAD_ADDR", d.Nomad)
	d.ask(t, "PUT", "/v1/images/hidden", quickImage("hidden"), 201, nil)
	other.untilStatus(t, "the first token counts there", admin, 200)

	accessor, tenant := one.token(t, admin, "launcher", "--image", "mock", "--zone", "east", "--user-prefix", "u-a")
	other.untilStatus(t, "the tenant's counts there", tenant, 200)
	for _, b := range []*devProcess{one, other} {
		var mine, theirs launched
		b.ask(t, "POST", "/v1/sessions", launch("mock", "east", "amy"), 201, &mine, bearer(tenant)...)
		d.ask(t, "POST", "/v1/sessions", launch("mock", "east", "bob"), 201, &theirs)
		if r := b.ask(t, "POST", "/v1/sessions", launch("mock", "east", "bob"), 403, nil, bearer(tenant)...); !strings.Contains(string(r.body), "users u-a*") {
			t.Errorf("the refusal does not name the scope: %s", r.body)
		}
		b.ask(t, "POST", "/v1/sessions", launch("hidden", "east", "amy"), 422, nil, bearer(tenant)...)
		b.ask(t, "GET", "/v1/images/hidden", nil, 404, nil, bearer(tenant)...)
		for _, call := range [][2]string{{"GET", ""}, {"GET", "?index=1&wait=1m"}, {"POST", "/keepalive"}, {"DELETE", ""}} {
			b.ask(t, call[0], "/v1/sessions/"+theirs.ID+call[1], nil, 404, nil, bearer(tenant)...)
		}
		for _, args := range [][]string{{"exec", theirs.ID, "--", "true"}, {"logs", theirs.ID}, {"sessions", "end", theirs.ID}} {
			if _, errs, err := b.greenroom(tenant, args...); err == nil || !strings.Contains(errs, "there is no session") {
				t.Errorf("%q of another's session: %v %s", args, err, errs)
			}
		}
		var list struct{ Items []launched }
		b.ask(t, "GET", "/v1/sessions", nil, 200, &list, bearer(tenant)...)
		sees := func(id string) bool {
			return slices.ContainsFunc(list.Items, func(l launched) bool { return l.ID == id })
		}
		if !sees(mine.ID) || sees(theirs.ID) {
			t.Errorf("the tenant sees %+v", list.Items)
		}
		b.ask(t, "DELETE", "/v1/sessions/"+mine.ID, nil, 204, nil, bearer(tenant)...)
		d.ask(t, "DELETE", "/v1/sessions/"+theirs.ID, nil, 204, nil)
	}

	// The bound is one broker's; a token without an end gets it.
	if _, errs, err := one.greenroom(admin, "token", "create", "--name", "n", "--role", "viewer", "--expires-in", "49h"); err == nil || !strings.Contains(errs, "expires_in") {
		t.Errorf("a life beyond the bound: %v %s", err, errs)
	}
	rotate := func(b *devProcess, overlap string) string {
		t.Helper()
		secret, errs, err := b.greenroom(admin, "token", "rotate", accessor, "--overlap", overlap)
		if err != nil {
			t.Fatal(err, errs)
		}
		return secret
	}
	second := rotate(other, "1h")
	one.untilStatus(t, "the new secret counts at the other broker", second, 200)
	for _, b := range []*devProcess{one, other} {
		for _, secret := range []string{tenant, second} {
			b.ask(t, "GET", "/v1/sessions", nil, 200, nil, bearer(secret)...)
		}
		b.ask(t, "GET", "/v1/images/hidden", nil, 404, nil, bearer(second)...)
	}
	third := rotate(one, "0s")
	other.untilStatus(t, "the newest secret counts at the other broker", third, 200)
	for _, b := range []*devProcess{one, other} {
		for _, secret := range []string{tenant, second} {
			b.untilStatus(t, "an old secret ends", secret, 401)
		}
	}
	until(t, "the last use is shown", func() (bool, string) {
		out, errs, err := one.greenroom(admin, "token", "list", "-o", "json")
		if err != nil {
			t.Fatal(err, errs)
		}
		var list struct{ Items []map[string]any }
		must(t, json.Unmarshal([]byte(out), &list))
		for _, item := range list.Items {
			if item["accessor"] == accessor {
				return item["last_used"] != nil && item["expires_at"] != nil, fmt.Sprint(item)
			}
		}
		return false, out
	})
	rotations := 0
	for _, e := range d.noted(t, staging.EventAudit) {
		if e["operation"] == "rotateToken" && e["target"] == "token "+accessor {
			rotations++
		}
	}
	if rotations != 2 {
		t.Errorf("%d rotations were audited", rotations)
	}
}
