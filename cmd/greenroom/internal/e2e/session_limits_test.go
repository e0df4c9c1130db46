package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
)

// limitProblem is a refusal for a limit of sessions.
type limitProblem struct {
	Code, Detail string
	Limit        struct {
		Setting, Kind, Name string
		Max                 int
		InUse               int `json:"in_use"`
	}
}

// twoBrokers starts servers of a test's own, with two brokers and a scaler.
func twoBrokers(t *testing.T) (*devcluster.Cluster, []*devProcess) {
	t.Helper()
	flags := []string{"--user-rate", "0"}
	c, d := startCluster(t, 0, flags...)
	other := &devProcess{readyFile: d.readyFile}
	other.Broker = "http://" + startAgent(t, c, "broker", flags...).Address
	startAgent(t, c, "scaler")
	return c, []*devProcess{d, other}
}

// launchMany sends launches of an image to brokers in turn, all at once, and returns how many were
// served and the refusals for a limit. Any other answer fails the test.
func launchMany(t *testing.T, brokers []*devProcess, callers int, body func(i int) map[string]any) (served int, refused []limitProblem) {
	t.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i := range callers {
		text := jsonText(body(i))
		wg.Go(func() {
			r, err := brokers[i%len(brokers)].call("POST", "/v1/sessions?wait=0s", text)
			mu.Lock()
			defer mu.Unlock()
			var p limitProblem
			switch {
			case err == nil && (r.status == http.StatusCreated || r.status == http.StatusAccepted):
				served++
			case err == nil && r.status == http.StatusConflict && json.Unmarshal(r.body, &p) == nil && p.Code == "session_limit":
				refused = append(refused, p)
			default:
				t.Errorf("caller %d: %v %d %s", i, err, r.status, r.body)
			}
		})
	}
	wg.Wait()
	return served, refused
}

// TestNoMoreSessionsThanALicenceAllows: of 50 callers at two brokers 10 get a session of an image
// with max_sessions 10, as Nomad counts them, with Redis and without, and the others are told
// which limit it was. Another image is launched all the same.
func TestNoMoreSessionsThanALicenceAllows(t *testing.T) {
	const callers, most = 50, 10
	c, brokers := twoBrokers(t)
	d := brokers[0]
	d.ask(t, "PUT", "/v1/images/licensed", staging.Image{Name: "licensed", Jobspec: jobspecs.DemoMock, MaxSessions: most}, 201, nil)
	try := func(when string) {
		t.Helper()
		served, refused := launchMany(t, brokers, callers, func(i int) map[string]any { return launch("licensed", "east", fmt.Sprint(when, i)) })
		if n := len(d.jobs(t, "licensed")); served != most || n != most || len(refused) != callers-most {
			t.Errorf("%s: %d were served, Nomad runs %d, %d were refused", when, served, n, len(refused))
		}
		for _, p := range refused {
			if l := p.Limit; l.Setting != "max_sessions" || l.Kind != "image" || l.Name != "licensed" || l.Max != most || l.InUse != most ||
				!strings.Contains(p.Detail, "max_sessions of image licensed allows 10 at once, staged and assigned together, and 10 are in use") {
				t.Fatalf("%s: %+v", when, p)
			}
		}
	}
	try("with-redis-")
	d.ask(t, "POST", "/v1/sessions?wait=0s", launch("mock", "east", "other"), 202, nil)
	must(t, c.Redis.Kill())
	if served, refused := launchMany(t, brokers, 6, func(i int) map[string]any { return launch("licensed", "east", fmt.Sprint("late-", i)) }); served != 0 || len(refused) != 6 {
		t.Errorf("with all in use and without Redis %d were served, %d refused", served, len(refused))
	}
	for _, j := range d.jobs(t, "licensed") {
		_, _, err := d.nomad(t).Jobs().Deregister(j.id, false, nil)
		must(t, err)
	}
	until(t, "the sessions have ended on their node", func() (bool, string) {
		all, _, err := d.nomad(t).Allocations().List(nil)
		must(t, err)
		n := 0
		for _, a := range all {
			if a.ClientStatus == "running" || a.ClientStatus == "pending" {
				n++
			}
		}
		return n <= 1, fmt.Sprint(n, " run") // the other image's
	})
	try("without-redis-")
}

// TestAZonesLimitCountsAllImages, and a launch that finds the zone at its limit is served by an
// alternate zone.
func TestAZonesLimitCountsAllImages(t *testing.T) {
	_, brokers := twoBrokers(t)
	d := brokers[0]
	var zone staging.Zone
	d.ask(t, "GET", "/v1/zones/east", nil, 200, &zone)
	zone.MaxSessions = 3
	d.ask(t, "PUT", "/v1/zones/east", zone, 200, nil)
	d.ask(t, "PUT", "/v1/images/second", staging.Image{Name: "second", Jobspec: jobspecs.DemoMock}, 201, nil)
	served, refused := launchMany(t, brokers, 12, func(i int) map[string]any {
		return launch([]string{"mock", "second"}[i%3%2], "east", fmt.Sprint("zone-", i))
	})
	if n := len(d.jobs(t, "mock")) + len(d.jobs(t, "second")); served != 3 || n != 3 || len(refused) != 9 {
		t.Errorf("%d were served, Nomad runs %d, %d were refused", served, n, len(refused))
	}
	for _, p := range refused {
		if p.Limit.Kind != "zone" || p.Limit.Name != "east" || p.Limit.Max != 3 {
			t.Fatalf("%+v", p)
		}
	}
	d.ask(t, "PUT", "/v1/zones/west", staging.Zone{Name: "west", Datacenters: zone.Datacenters, AllowOriginDomain: "127.0.0.1", UpstreamAuthAddress: "127.0.0.1"}, 201, nil)
	zone.SearchAlternateZones, zone.AlternateZones = true, []string{"west"}
	d.ask(t, "PUT", "/v1/zones/east", zone, 200, nil)
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("mock", "east", "further"), 201, &l)
	if l.Zone != "west" {
		t.Errorf("served in zone %s: %+v", l.Zone, l.Attempts)
	}
}

// TestAUserHasNoMoreOfAnImageThanItAllows: concurrent launches at two brokers, of staged sessions
// and on demand, with Redis and without, leave a user with what the image allows; the user may
// have another image, and another user the same one.
func TestAUserHasNoMoreOfAnImageThanItAllows(t *testing.T) {
	const most = 2
	c, brokers := twoBrokers(t)
	d := brokers[0]
	image := staging.Image{Name: "mock", Jobspec: jobspecs.DemoMock, MaxSessionsPerUser: most}
	d.ask(t, "PUT", "/v1/images/mock", image, 200, nil)
	d.want(t, 3)
	d.untilReady(t, "mock", 3)
	d.ask(t, "PUT", "/v1/images/free", staging.Image{Name: "free", Jobspec: jobspecs.DemoMock}, 201, nil)
	try := func(user string) {
		t.Helper()
		served, refused := launchMany(t, brokers, 20, func(int) map[string]any { return launch("mock", "east", user) })
		if served != most || len(refused) != 20-most {
			t.Errorf("%s was served %d times and refused %d times", user, served, len(refused))
		}
		for _, p := range refused {
			if l := p.Limit; l.Setting != "max_sessions_per_user" || l.Kind != "image" || l.Name != "mock" || l.Max != most || !strings.HasPrefix(p.Detail, "max_sessions_per_user of image mock allows 2 at once") {
				t.Fatalf("%+v", p)
			}
		}
		d.ask(t, "POST", "/v1/sessions?wait=0s", launch("free", "east", user), 202, nil)
	}
	try("greedy")
	must(t, c.Redis.Kill())
	try("greedier")
	if served, _ := launchMany(t, brokers, 4, func(int) map[string]any { return launch("mock", "east", "greedy") }); served != 0 {
		t.Errorf("the first user was given %d more without Redis", served)
	}
	var fates int
	pairs, _, err := d.consul(t).KV().List("greenroom/fates/", nil)
	must(t, err)
	for _, p := range pairs {
		var f staging.Fate
		must(t, json.Unmarshal(p.Value, &f))
		if f.User != nil && f.User.ID == "u-greedier" {
			fates++
		}
	}
	if fates != most+1 { // and one of the other image
		t.Errorf("Consul has %d sessions of the user's", fates)
	}
}

// TestStagingStopsAtALimit: a pool grows to the max_sessions of its image and says so, what users
// have counts, a lower limit ends nobody, a roll stays within it, and a higher one lets the
// pool grow again. The config's own limit counts the pool's sessions alone.
func TestStagingStopsAtALimit(t *testing.T) {
	c, brokers := twoBrokers(t)
	_, d := c, brokers[0]
	image := staging.Image{Name: "mock", Jobspec: jobspecs.DemoMock, MaxSessions: 4}
	d.ask(t, "PUT", "/v1/images/mock", image, 200, nil)
	d.want(t, 6)
	d.untilReady(t, "mock", 4)
	d.untilCondition(t, "mock", staging.SessionLimitReached, "max_sessions of image mock allows 4 at once, staged and assigned together, and 4 are in use")
	runs := func() int {
		t.Helper()
		n := len(d.jobs(t, "mock"))
		if n > 4 {
			t.Errorf("Nomad runs %d", n)
		}
		return n
	}
	var theirs []launched
	for i := range 3 {
		var l launched
		d.ask(t, "POST", "/v1/sessions", launch("mock", "east", fmt.Sprint("has-", i)), 201, &l)
		if l.Origin != "staged" {
			t.Errorf("%+v", l)
		}
		theirs = append(theirs, l)
	}
	// One is left ready: a roll ends it before its replacement.
	old := d.jobs(t, "mock")
	image.Variables = map[string]string{"starts_in": "100ms"}
	d.ask(t, "PUT", "/v1/images/mock", image, 200, nil)
	until(t, "the pool is of the new revision", func() (bool, string) {
		runs()
		var p struct {
			Ready   int `json:"ready_sessions"`
			Updated int `json:"updated_ready_sessions"`
		}
		d.ask(t, "GET", "/v1/staging/mock", nil, 200, &p)
		return p.Ready == 1 && p.Updated == 1, fmt.Sprintf("%+v", p)
	})
	if now := d.jobs(t, "mock"); len(now) != 4 || now[3].id == old[3].id {
		t.Errorf("before the roll %v, after it %v", old, now)
	}
	// With all in use a launch on demand is refused, and says where a ready one is.
	r, err := d.call("POST", "/v1/sessions", jsonText(map[string]any{"image": "mock", "zone": "east", "skip_staged": true, "user": map[string]string{"id": "u-x"}}))
	must(t, err)
	if r.status != http.StatusConflict || !strings.Contains(string(r.body), "of which no user has 1 of mock in zone east") {
		t.Errorf("%d %s", r.status, r.body)
	}
	// A lower limit ends nobody.
	image.MaxSessions = 1
	d.ask(t, "PUT", "/v1/images/mock", image, 200, nil)
	d.untilCondition(t, "mock", staging.SessionLimitReached, "allows 1 at once, staged and assigned together, and 4 are in use")
	for _, l := range theirs {
		if s := d.session(t, l.ID); s.State != "assigned" {
			t.Errorf("session %s is %s", l.ID, s.State)
		}
	}
	image.MaxSessions = 0
	d.ask(t, "PUT", "/v1/images/mock", image, 200, nil)
	d.untilReady(t, "mock", 6)

	// The config's own limit: three have users, so that two more are staged.
	d.ask(t, "PUT", "/v1/staging/mock", staging.Config{Zone: "east", Image: "mock", DesiredSessions: 6, MaxSessions: 5}, 200, nil)
	d.untilCondition(t, "mock", staging.SessionLimitReached, "max_sessions of staging config mock allows 5 at once")
	d.untilReady(t, "mock", 2)
	until(t, "what is beyond it and nobody's ends", func() (bool, string) {
		n := len(d.jobs(t, "mock"))
		return n == 5, fmt.Sprint(n)
	})
	for _, l := range theirs {
		if s := d.session(t, l.ID); s.State != "assigned" {
			t.Errorf("session %s is %s", l.ID, s.State)
		}
	}
	// One that ends makes room for another.
	d.ask(t, "DELETE", "/v1/sessions/"+theirs[0].ID, nil, 204, nil)
	d.untilReady(t, "mock", 3)
}
