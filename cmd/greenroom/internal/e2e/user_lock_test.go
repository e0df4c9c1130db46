package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/issuer/issuertest"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestALockedUserLosesEverySession: a user with a staged session at one broker, one on demand at
// another, and a launch whose hook runs, is locked. All three end in Nomad, the launch under way
// is refused, and both brokers refuse access checks, launches and the user's own tokens. Another
// user is not disturbed, and after the unlock the user launches again.
func TestALockedUserLosesEverySession(t *testing.T) {
	p := issuertest.New(t)
	key := issuertest.NewKey(t, "k")
	p.Publishes(key)
	c, d := startCluster(t, 0)
	startAgent(t, c, "scaler")
	flags := []string{"--oidc-issuer", p.URL(), "--oidc-audience", "greenroom"}
	one, agent := guardedBroker(t, c, d, flags...)
	other, _ := guardedBroker(t, c, d, flags...)
	as := func(user string) []string { return bearer(key.Signs(t, p.Claims(map[string]any{"sub": user}))) }
	admin, errs, err := one.greenroom("", "bootstrap")
	if err != nil {
		t.Fatal(err, errs)
	}
	until(t, "the other broker knows the administrator", func() (bool, string) {
		r, err := other.call("GET", "/v1/tokens", "", bearer(admin)...)
		must(t, err)
		return r.status == http.StatusOK, string(r.body)
	})

	dir := t.TempDir()
	hold, began, release := filepath.Join(dir, "hold"), filepath.Join(dir, "began"), filepath.Join(dir, "release")
	image := quickImage("lockable")
	image.ExecConfig.Assign = &staging.Hook{Timeout: staging.Duration(100_000_000_000), Cmd: []string{
		"/bin/sh", "-c",
		`[ ! -e "` + hold + `" ] || { touch "` + began + `"; until [ -e "` + release + `" ]; do sleep 0.1; done; }`,
	}}
	d.ask(t, "PUT", "/v1/images/lockable", image, 201, nil)
	d.ask(t, "PUT", "/v1/staging/lockable", staging.Config{Zone: "east", Image: "lockable", DesiredSessions: 3}, 201, nil)
	d.untilReady(t, "lockable", 3)
	const own = `{"image":"lockable","zone":"east"}`
	demanded := func(user string) string { return `{"image":"mock","zone":"east","user":{"id":"` + user + `"}}` }
	var staged, made, others launched
	one.ask(t, "POST", "/v1/sessions", own, 201, &staged, as("amy")...)
	other.ask(t, "POST", "/v1/sessions", demanded("amy"), 201, &made, bearer(admin)...)
	other.ask(t, "POST", "/v1/sessions", own, 201, &others, as("bob")...)
	if staged.Origin != "staged" || made.Origin != "on_demand" {
		t.Fatalf("%+v, %+v", staged, made)
	}
	must(t, os.WriteFile(hold, nil, 0o644))
	// The pool is refilled meanwhile: how far does not matter.
	until(t, "one is ready", func() (bool, string) {
		s, away := d.statusOf(t, "lockable")
		return s.Ready > 0, fmt.Sprint(s, away)
	})
	underWay := make(chan backgroundReply, 1)
	go func() {
		r, err := one.call("POST", "/v1/sessions", own, as("amy")...)
		underWay <- backgroundReply{r, err}
	}()
	untilThere(t, began)
	var theirs launchedList
	one.ask(t, "GET", "/v1/sessions?user=amy", nil, 200, &theirs, bearer(admin)...)
	if len(theirs.Items) != 3 {
		t.Fatalf("amy has %+v", theirs.Items)
	}

	if _, errs, err := one.greenroom(admin, "user", "lock", "amy", "--reason", "the laptop was stolen"); err != nil || !strings.Contains(errs, "ended 3 of the user's sessions") {
		t.Errorf("%v: %s", err, errs)
	}
	must(t, os.WriteFile(release, nil, 0o644))
	if r := <-underWay; r.err != nil || r.status != http.StatusForbidden || !strings.Contains(string(r.body), "user_locked") {
		t.Errorf("the launch under way: %v %d %s", r.err, r.status, r.body)
	}
	for _, s := range theirs.Items {
		if reason := d.untilEnded(t, s.ID); reason != "its user was locked" {
			t.Errorf("session %s ended with %q", s.ID, reason)
		}
	}
	until(t, "Nomad runs none of the user's sessions", func() (bool, string) {
		for _, j := range slices.Concat(d.jobs(t, "lockable"), d.jobs(t, "mock")) {
			if slices.Contains(theirs.ids(), j.id) {
				return false, j.id
			}
		}
		return true, ""
	})
	for _, b := range []*devProcess{one, other} {
		for _, call := range []struct {
			method, path, body string
			headers            []string
		}{
			{"GET", "/v1/sessions/" + staged.ID + "/authorize", "", []string{"X-Original-URI", "/?token=" + staged.Token}},
			{"GET", "/v1/sessions/" + made.ID + "/authorize", "", []string{"X-Original-URI", "/?token=" + made.Token}},
			{"POST", "/v1/sessions", demanded("amy"), bearer(admin)},
			{"POST", "/v1/sessions", own, as("amy")},
			{"GET", "/v1/self", "", as("amy")},
		} {
			until(t, call.method+" "+call.path+" is refused", func() (bool, string) {
				r, err := b.call(call.method, call.path, call.body, call.headers...)
				must(t, err)
				return r.status == http.StatusForbidden && strings.Contains(string(r.body), `"user_locked"`), string(r.body)
			})
		}
	}
	other.ask(t, "GET", "/v1/sessions/"+others.ID+"/authorize", nil, 200, nil, "X-Original-URI", "/?token="+others.Token)
	until(t, "the list says that the sessions have ended", func() (bool, string) {
		out, errs, err := other.greenroom(admin, "user", "list")
		if err != nil || !strings.Contains(out, "amy") || !strings.Contains(out, "token:tk-") || !strings.Contains(out, "the laptop was stolen") {
			t.Fatal(err, out, errs)
		}
		return strings.Contains(out, "ended"), out
	})

	if _, errs, err := other.greenroom(admin, "user", "unlock", "amy"); err != nil {
		t.Error(err, errs)
	}
	must(t, os.Remove(hold))
	for _, b := range []*devProcess{other, one} {
		until(t, "the user launches again", func() (bool, string) {
			r, err := b.call("POST", "/v1/sessions", own, as("amy")...)
			must(t, err)
			return r.status == http.StatusCreated, string(r.body)
		})
	}
	for _, operation := range []string{"lockUser", "user_locked"} {
		if !strings.Contains(agent.Log.String(), operation) {
			t.Errorf("the log of the broker has no %s", operation)
		}
	}
}
