package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestAStagedSessionGreetsItsUser is the main job: claim, hook, greeting.
func TestAStagedSessionGreetsItsUser(t *testing.T) {
	d := sharedDev(t)
	d.untilReady(t, "demo-east", 3)
	var l launched
	r := d.ask(t, "POST", "/v1/sessions",
		`{"image":"demo","zone":"east","user":{"id":"u-1","name":"alice"},"url":"https://example.org","environment":{"K":"V"}}`,
		http.StatusCreated, &l, "Idempotency-Key", t.Name())
	if l.State != "assigned" || l.Origin != "staged" || l.Zone != "east" || l.User.Name != "alice" {
		t.Errorf("reply: %s", r.body)
	}
	if want := "/v1/sessions/" + l.ID; r.header.Get("Location") != want {
		t.Errorf("Location %q, want %q", r.header.Get("Location"), want)
	}
	if len(l.Attempts) != 1 || l.Attempts[0].Outcome != "served" {
		t.Errorf("attempts: %+v", l.Attempts)
	}
	for _, k := range []string{"claim", "fence", "hook", "total"} {
		if l.TimingsMS[k] <= 0 {
			t.Errorf("timings_ms.%s is %v", k, l.TimingsMS[k])
		}
	}
	if page := get(t, l.page()); !strings.Contains(page, "alice") {
		t.Errorf("the page does not greet alice:\n%s", page)
	}
	got := record(t, l)
	if len(got) != 1 || got[0].UserID != "u-1" || got[0].URL != "https://example.org" || got[0].Environment["K"] != "V" || got[0].Session != l.ID || got[0].Via != "hook" {
		t.Errorf("the session's own record: %+v", got)
	}
	var again launched
	d.ask(t, "GET", "/v1/sessions/"+l.ID, nil, 200, &again)
	if again.State != "assigned" || again.User.ID != "u-1" || again.Address != l.Address {
		t.Errorf("read again: %+v", again)
	}
	t.Logf("staged launch: %.1f ms (claim %.1f, fence %.1f, hook %.1f)",
		l.TimingsMS["total"], l.TimingsMS["claim"], l.TimingsMS["fence"], l.TimingsMS["hook"])
	d.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, http.StatusNoContent, nil)
	until(t, "the ended session is gone from Nomad", func() (bool, string) {
		jobs := d.jobs(t, "demo")
		return !slices.ContainsFunc(jobs, func(j job) bool { return j.id == l.ID }), fmt.Sprint(jobs)
	})
	until(t, "the ended session says so", func() (bool, string) {
		d.ask(t, "GET", "/v1/sessions/"+l.ID, nil, 200, &again)
		return again.State == "ended", again.State
	})
}

// TestStagedAgainstOnDemand measures what staging gains. It asserts no time: both times and
// their ratio are printed at the end of make test.
func TestStagedAgainstOnDemand(t *testing.T) {
	d := sharedDev(t)
	d.untilReady(t, "demo-east", 3)
	var staged, onDemand launched
	d.ask(t, "POST", "/v1/sessions", launch("demo", "east", "staged"), 201, &staged)
	// The same image in a zone without a pool.
	d.ask(t, "PUT", "/v1/zones/bare", staging.Zone{Name: "bare", Datacenters: []string{"dc1"}}, 201, nil)
	t.Cleanup(func() { d.ask(t, "DELETE", "/v1/zones/bare", nil, 204, nil) })
	d.ask(t, "POST", "/v1/sessions", launch("demo", "bare", "on demand"), 201, &onDemand)
	if staged.Origin != "staged" || onDemand.Origin != "on_demand" {
		t.Fatalf("origins %s and %s", staged.Origin, onDemand.Origin)
	}
	if page := get(t, onDemand.page()); !strings.Contains(page, "on demand") {
		t.Errorf("the on-demand session does not greet its user:\n%s", page)
	}
	measured("staged launch, hook included: %.0f ms; on-demand launch of the same image: %.0f ms; ratio %.0f\n",
		staged.TimingsMS["total"], onDemand.TimingsMS["total"], onDemand.TimingsMS["total"]/staged.TimingsMS["total"])
	for _, l := range []launched{staged, onDemand} {
		d.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil)
	}
}

// TestManyCallersOverFewReadySessions: 32 concurrent callers, 20 ready sessions.
func TestManyCallersOverFewReadySessions(t *testing.T) {
	d := sharedDev(t)
	const ready, callers = 20, 32
	d.stage(t, quickImage("many"), ready)
	d.untilReady(t, "many", ready)
	replies := make([]launched, callers)
	statuses := make([]int, callers)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range callers {
		body, err := json.Marshal(launch("many", "east", fmt.Sprint("caller-", i)))
		must(t, err)
		wg.Go(func() {
			<-start
			r, err := d.call("POST", "/v1/sessions", string(body))
			if err != nil {
				t.Error(err)
				return
			}
			if statuses[i] = r.status; r.status == 201 {
				if err := json.Unmarshal(r.body, &replies[i]); err != nil {
					t.Error(err)
				}
			} else if !strings.Contains(r.header.Get("Content-Type"), "problem+json") {
				t.Errorf("an answer that is neither a session nor a problem: %d %s", r.status, r.body)
			}
		})
	}
	close(start)
	wg.Wait()
	origins, owners := map[string]int{}, map[string]string{}
	for i, l := range replies {
		if statuses[i] != 201 {
			origins[fmt.Sprint("status ", statuses[i])]++
			continue
		}
		origins[l.Origin]++
		if owner, taken := owners[l.ID]; taken {
			t.Errorf("session %s was given to %s and to %s", l.ID, owner, l.User.Name)
		}
		owners[l.ID] = l.User.Name
		// Read from the session itself.
		got := record(t, l)
		if len(got) != 1 || got[0].UserName != fmt.Sprint("caller-", i) {
			t.Errorf("session %s of caller-%d says that it served %+v", l.ID, i, got)
		}
	}
	measured("%d callers at once over %d ready: %v\n", callers, ready, origins)
	// A refill may become ready while the last callers arrive, and serve one of them. Fewer
	// staged launches than ready sessions would be a loss.
	if origins["staged"] < ready {
		t.Errorf("%d callers got a staged session, %d were ready", origins["staged"], ready)
	}
}

// TestARefillIsRegisteredAtTheClaim: the event of the claim triggers the replacement.
func TestARefillIsRegisteredAtTheClaim(t *testing.T) {
	d := sharedDev(t)
	d.stage(t, quickImage("refill"), 2)
	d.untilReady(t, "refill", 2)
	before := d.jobs(t, "refill")
	var l launched
	began := time.Now()
	d.ask(t, "POST", "/v1/sessions", launch("refill", "east", "bob"), 201, &l)
	until(t, "a replacement is registered", func() (bool, string) {
		jobs := d.jobs(t, "refill")
		for _, j := range jobs {
			if !slices.ContainsFunc(before, func(b job) bool { return b.id == j.id }) {
				measured("replacement registered with Nomad %d ms after the launch was sent\n", j.submitted.Sub(began).Milliseconds())
				return true, ""
			}
		}
		return false, fmt.Sprint(jobs)
	})
	d.untilReady(t, "refill", 2)
}

// TestDesiredDownAndUp asserts on Nomad and Consul alone.
func TestDesiredDownAndUp(t *testing.T) {
	d := sharedDev(t)
	c := d.stage(t, quickImage("sizes"), 5)
	d.untilReady(t, "sizes", 5)
	var kept launched
	d.ask(t, "POST", "/v1/sessions", launch("sizes", "east", "keeper"), 201, &kept)
	d.untilReady(t, "sizes", 5)
	before := d.jobs(t, "sizes")
	if len(before) != 6 {
		t.Fatalf("Nomad has %d jobs, want 5 unassigned and 1 assigned", len(before))
	}

	c.DesiredSessions = 2
	d.ask(t, "PUT", "/v1/staging/sizes", c, 200, nil)
	until(t, "2 unassigned and the assigned one left in Nomad and Consul", func() (bool, string) {
		jobs, passing := d.jobs(t, "sizes"), d.passing(t, "sizes")
		return len(jobs) == 3 && len(passing) == 3, fmt.Sprintf("%d jobs, %d passing", len(jobs), len(passing))
	})
	after := d.jobs(t, "sizes")
	for _, j := range after {
		if !slices.ContainsFunc(before, func(b job) bool { return b.id == j.id }) {
			t.Errorf("job %s is new: shrinking made a session", j.id)
		}
	}
	if !slices.ContainsFunc(after, func(j job) bool { return j.id == kept.ID }) {
		t.Errorf("the assigned session %s was stopped; left: %v", kept.ID, after)
	}
	if page := get(t, kept.page()); !strings.Contains(page, "keeper") {
		t.Error("the assigned session no longer greets its user")
	}

	c.DesiredSessions = 6
	d.ask(t, "PUT", "/v1/staging/sizes", c, 200, nil)
	until(t, "6 unassigned pass their checks", func() (bool, string) {
		passing := slices.DeleteFunc(d.passing(t, "sizes"), func(id string) bool { return id == kept.ID })
		return len(passing) == 6, fmt.Sprint(passing)
	})
	d.untilReady(t, "sizes", 6)
}

// TestTheSameIdempotencyKeyGivesTheSameSession: for repeats, and for concurrent launches.
func TestTheSameIdempotencyKeyGivesTheSameSession(t *testing.T) {
	d := sharedDev(t)
	d.stage(t, quickImage("keyed"), 4)
	d.untilReady(t, "keyed", 4)
	body, err := json.Marshal(launch("keyed", "east", "carol"))
	must(t, err)
	const callers = 8
	ids := make([]string, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			r, err := d.call("POST", "/v1/sessions", string(body), "Idempotency-Key", "k-1")
			var l launched
			if err != nil || r.status != 201 || json.Unmarshal(r.body, &l) != nil {
				t.Errorf("%v %d %s", err, r.status, r.body)
			}
			ids[i] = l.ID
		})
	}
	wg.Wait()
	var l launched
	d.ask(t, "POST", "/v1/sessions", string(body), 201, &l, "Idempotency-Key", "k-1")
	for i, id := range ids {
		if id != l.ID {
			t.Errorf("caller %d got session %q, a later repeat %q", i, id, l.ID)
		}
	}
	if got := record(t, l); len(got) != 1 {
		t.Errorf("the session was given %d times: %+v", len(got), got)
	}
	var p struct{ Code string }
	d.ask(t, "POST", "/v1/sessions", launch("keyed", "east", "dave"), 422, &p, "Idempotency-Key", "k-1")
	if p.Code != "idempotency_key_reused" {
		t.Errorf("the key with another launch: code %q", p.Code)
	}
	// The same on demand: the zone has no pool of the image.
	body, err = json.Marshal(launch("keyed", "west", "erin"))
	must(t, err)
	for i := range callers {
		wg.Go(func() {
			r, err := d.call("POST", "/v1/sessions", string(body), "Idempotency-Key", "k-2")
			var l launched
			if err != nil || r.status != 201 || json.Unmarshal(r.body, &l) != nil || l.Origin != "on_demand" {
				t.Errorf("%v %d %s", err, r.status, r.body)
			}
			ids[i] = l.ID
		})
	}
	wg.Wait()
	for i, id := range ids {
		if id != ids[0] {
			t.Errorf("caller %d got session %q, the first %q", i, id, ids[0])
		}
	}
}

// TestAUserNameIsDataNeverShell: a hostile name arrives unchanged, in the hook and in an
// on-demand session's environment, and runs nothing.
func TestAUserNameIsDataNeverShell(t *testing.T) {
	d := sharedDev(t)
	d.stage(t, quickImage("names"), 1)
	d.untilReady(t, "names", 1)
	name := "O'Brien \"$(touch /tmp/greenroom-owned)\" `id`\n; exit 9 #\\ ${node.datacenter} $${x} <b>😀</b>\t%s"
	for _, zone := range []string{"east", "west"} { // staged, then on demand
		var l launched
		d.ask(t, "POST", "/v1/sessions", map[string]any{
			"image": "names", "zone": zone, "user": map[string]string{"id": "u'$(x)", "name": name},
			"environment": map[string]string{"K": name},
		}, 201, &l)
		got := record(t, l)
		if len(got) != 1 || got[0].UserName != name || got[0].UserID != "u'$(x)" || got[0].Environment["K"] != name {
			t.Errorf("%s: the session recorded %+v", l.Origin, got)
		}
		if page := get(t, l.page()); strings.Contains(page, "<b>😀") || !strings.Contains(page, "&lt;b&gt;😀") {
			t.Errorf("%s: the page does not escape the name", l.Origin)
		}
	}
}

// TestAFailingHookCostsASessionNotTheLaunch: the session is destroyed and never reused, and
// the launch tries its next step.
func TestAFailingHookCostsASessionNotTheLaunch(t *testing.T) {
	d := sharedDev(t)
	image := quickImage("failing")
	image.ExecConfig.Assign.Cmd = []string{"/bin/sh", "-c", "echo no desktop here >&2; exit 7"}
	d.stage(t, image, 1)
	d.untilReady(t, "failing", 1)
	staged := d.jobs(t, "failing")[0].id
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("failing", "east", "frank"), 201, &l)
	if l.Origin != "on_demand" {
		t.Errorf("served %s", l.Origin)
	}
	first := l.Attempts[0]
	if first.Step != "staged" || first.Outcome != "failed" || !strings.Contains(first.Reason, "7") {
		t.Errorf("attempts: %+v", l.Attempts)
	}
	until(t, "the session whose hook failed is destroyed", func() (bool, string) {
		jobs := d.jobs(t, "failing")
		return !slices.ContainsFunc(jobs, func(j job) bool { return j.id == staged }), fmt.Sprint(jobs)
	})
}

// TestAnOnDemandSessionThatIsNotUpInTimeIsAnsweredAndSeenHome: 202, then assigned.
func TestAnOnDemandSessionThatIsNotUpInTimeIsAnsweredAndSeenHome(t *testing.T) {
	d := sharedDev(t)
	image := quickImage("slow")
	image.Variables["warmup"] = "2s"
	d.ask(t, "PUT", "/v1/images/slow", image, 201, nil)
	t.Cleanup(func() {
		d.endAll(t, "slow")
		d.ask(t, "DELETE", "/v1/images/slow", nil, 204, nil)
	})
	var l launched
	r := d.ask(t, "POST", "/v1/sessions?wait=1ms", launch("slow", "east", "grace"), 202, &l, "Idempotency-Key", t.Name())
	if r.header.Get("Retry-After") == "" || l.State == "assigned" {
		t.Errorf("202 without Retry-After, or assigned: %s", r.body)
	}
	until(t, "the scaler admits it", func() (bool, string) {
		var s launched
		d.ask(t, "GET", "/v1/sessions/"+l.ID, nil, 200, &s)
		return s.State == "assigned" && s.Ports["http"] != 0, s.State
	})
	var again launched
	d.ask(t, "POST", "/v1/sessions?wait=1ms", launch("slow", "east", "grace"), 201, &again, "Idempotency-Key", t.Name())
	if again.ID != l.ID {
		t.Errorf("the repeat got %s, the first %s", again.ID, l.ID)
	}
	if page := get(t, again.page()); !strings.Contains(page, "grace") {
		t.Errorf("the page does not greet grace:\n%s", page)
	}
}

// TestNoRoomIsAnHonestErrorAtOnce: 503 with the scheduler's reason, and nothing is left.
func TestNoRoomIsAnHonestErrorAtOnce(t *testing.T) {
	d := sharedDev(t)
	image := quickImage("huge")
	image.Variables["memory"] = "99999999"
	d.stage(t, image, 2)
	r, err := d.call("POST", "/v1/sessions", `{"image":"huge","zone":"east","user":{"id":"u","name":"n"}}`)
	must(t, err)
	var p struct {
		Code, Detail string
		Attempts     []struct{ Step, Outcome, Reason string }
	}
	must(t, json.Unmarshal(r.body, &p))
	if r.status != 503 || p.Code != "no_capacity" || r.header.Get("Retry-After") == "" || !strings.Contains(p.Detail, "memory") || len(p.Attempts) != 3 {
		t.Errorf("%d Retry-After %q: %s", r.status, r.header.Get("Retry-After"), r.body)
	}
	until(t, "the pool says why, and nothing of the launch is left", func() (bool, string) {
		var s poolStatus
		d.ask(t, "GET", "/v1/staging/huge", nil, 200, &s)
		onDemand := 0
		for _, j := range d.jobs(t, "huge") {
			if j.origin == "on_demand" {
				onDemand++
			}
		}
		return onDemand == 0 && len(s.Conditions) == 1 && s.Conditions[0].Type == staging.CapacityExhausted,
			fmt.Sprintf("%d on-demand jobs, conditions %+v", onDemand, s.Conditions)
	})
}

// TestExpiredSessionsAreReplaced: the pool stays full while its sessions are replaced.
func TestExpiredSessionsAreReplaced(t *testing.T) {
	d := sharedDev(t)
	d.stage(t, quickImage("expiring"), 2, func(c *staging.Config) { c.Expiration = staging.MinExpiration })
	d.untilReady(t, "expiring", 2)
	first := d.passing(t, "expiring")
	until(t, "none of the first sessions is left, two others pass", func() (bool, string) {
		now := d.passing(t, "expiring")
		for _, id := range first {
			if slices.Contains(now, id) {
				return false, fmt.Sprint(now)
			}
		}
		return len(now) >= 2, fmt.Sprint(now)
	})
}
