package e2e

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// refusedWith launches, and requires a refusal with a code and Retry-After.
func refusedWith(t *testing.T, d *devProcess, image, code string) {
	t.Helper()
	body, err := json.Marshal(launch(image, "east", "early"))
	must(t, err)
	r, err := d.call("POST", "/v1/sessions", string(body))
	must(t, err)
	var p struct{ Code string }
	must(t, json.Unmarshal(r.body, &p))
	if r.status != 503 || p.Code != code || r.header.Get("Retry-After") == "" {
		t.Errorf("%d, Retry-After %q: %s; want %s", r.status, r.header.Get("Retry-After"), r.body, code)
	}
}

// TestAPausedConsulGivesNothingAway: it costs at most the session that was being claimed, and
// launches work again once Consul resumes.
func TestAPausedConsulGivesNothingAway(t *testing.T) {
	const ready = 3
	c, d := startCluster(t, ready)
	startAgent(t, c, "scaler")
	d.untilReady(t, "mock", ready)
	before := d.jobs(t, "mock")
	must(t, c.Consul.Pause())
	resumed := false
	defer func() {
		if !resumed {
			must(t, c.Consul.Resume())
		}
	}()
	for range 4 {
		refusedWith(t, d, "mock", "consul_unavailable")
	}
	if now := d.jobs(t, "mock"); len(now) < len(before)-1 {
		t.Errorf("%d of %d sessions are left: the outage used them up", len(now), len(before))
	}
	must(t, c.Consul.Resume())
	resumed = true
	d.untilReady(t, "mock", ready)
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("mock", "east", "late"), 201, &l)
	if l.Origin != "staged" {
		t.Errorf("%+v", l.Attempts)
	}
}

// TestAPausedNomadStopsOnlyWhatNeedsIt: sessions without a hook are assigned. With a hook, a
// launch is answered with 503 before it claims anything more.
func TestAPausedNomadStopsOnlyWhatNeedsIt(t *testing.T) {
	c, d := startCluster(t, 2)
	startAgent(t, c, "scaler")
	image := quickImage("hooked")
	image.ExecConfig.Assign.Timeout = staging.Duration(2 * time.Second)
	d.ask(t, "PUT", "/v1/images/hooked", image, 201, nil)
	d.ask(t, "PUT", "/v1/staging/hooked", staging.Config{Zone: "east", Image: "hooked", DesiredSessions: 3}, 201, nil)
	d.untilReady(t, "mock", 2)
	d.untilReady(t, "hooked", 3)
	must(t, c.NomadServer.Pause())
	must(t, c.NomadClients[0].Pause())
	resumed := false
	resume := func() {
		resumed = true
		must(t, c.NomadClients[0].Resume())
		must(t, c.NomadServer.Resume())
	}
	defer func() {
		if !resumed {
			resume()
		}
	}()
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("mock", "east", "early"), 201, &l)
	if l.Origin != "staged" {
		t.Errorf("%+v", l.Attempts)
	}
	refusedWith(t, d, "hooked", "nomad_unavailable")
	refusedWith(t, d, "hooked", "nomad_unavailable")
	var s poolStatus
	d.ask(t, "GET", "/v1/staging/hooked", nil, 200, &s)
	if s.Ready < 2 {
		t.Errorf("%d of 3 are ready: the outage used them up", s.Ready)
	}
	resume()
	d.untilReady(t, "hooked", 3)
	until(t, "a launch is served again", func() (bool, string) {
		body, err := json.Marshal(launch("hooked", "east", "late"))
		must(t, err)
		r, err := d.call("POST", "/v1/sessions", string(body))
		must(t, err)
		return r.status == 201 && json.Unmarshal(r.body, &l) == nil && l.Origin == "staged", fmt.Sprint(r.status, " ", string(r.body))
	})
	if got := record(t, l); len(got) != 1 || got[0].UserName != "late" {
		t.Errorf("the session's own record: %+v", got)
	}
}

// TestARedisFromBeforeTheClaimsGivesNobodyAnothersSession: an old copy of Redis names assigned
// sessions as ready; the fate records prevent a second assignment.
func TestARedisFromBeforeTheClaimsGivesNobodyAnothersSession(t *testing.T) {
	d, all := launchesOverARollback(t)
	for _, problem := range servedTwice(t, all) {
		t.Error(problem)
	}
	for _, l := range all {
		until(t, "Redis knows whose "+l.ID+" is", func() (bool, string) {
			s := d.session(t, l.ID)
			return s.State == "assigned" && s.User.Name == l.User.Name, s.State + " " + s.User.Name
		})
	}
	d.untilReady(t, "rolled", rolledReady)
}

// TestWithoutTheFenceTheSameIsCaught shows that the previous test's check can fail: without
// the fence, an old copy of Redis assigns sessions to second users.
func TestWithoutTheFenceTheSameIsCaught(t *testing.T) {
	_, all := launchesOverARollback(t, "--claim-fence", "none")
	problems := servedTwice(t, all)
	if len(problems) == 0 {
		t.Error("without a fence, over a Redis that was rolled back, no session served two users: the check sees nothing")
	}
	t.Log(problems)
}

const rolledReady = 3

// launchesOverARollback launches all ready sessions, rolls Redis back to the state before,
// and launches as many again.
func launchesOverARollback(t *testing.T, brokerFlags ...string) (*devProcess, []launched) {
	t.Helper()
	c, d := startCluster(t, 0, brokerFlags...)
	startAgent(t, c, "scaler")
	d.ask(t, "PUT", "/v1/images/rolled", quickImage("rolled"), 201, nil)
	d.ask(t, "PUT", "/v1/staging/rolled", staging.Config{Zone: "east", Image: "rolled", DesiredSessions: rolledReady}, 201, nil)
	d.untilReady(t, "rolled", rolledReady)
	back := d.copyRedis(t)
	var all []launched
	serve := func(user string) {
		var l launched
		d.ask(t, "POST", "/v1/sessions", launch("rolled", "east", user), 201, &l)
		all = append(all, l)
	}
	for i := range rolledReady {
		serve(fmt.Sprint("before-", i))
	}
	back()
	for i := range rolledReady {
		serve(fmt.Sprint("after-", i))
	}
	return d, all
}

// servedTwice returns the sessions that served two users, by the launches' answers and by the
// sessions' own records.
func servedTwice(t *testing.T, all []launched) (problems []string) {
	t.Helper()
	owners := map[string]string{}
	for _, l := range all {
		if owner, taken := owners[l.ID]; taken {
			problems = append(problems, fmt.Sprintf("session %s was given to %s and to %s", l.ID, owner, l.User.Name))
		}
		owners[l.ID] = l.User.Name
		if got := record(t, l); len(got) != 1 || got[0].UserName != l.User.Name {
			problems = append(problems, fmt.Sprintf("session %s of %s says that it served %+v", l.ID, l.User.Name, got))
		}
	}
	return problems
}
