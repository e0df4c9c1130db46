package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/staging"
)

// warm is how many sessions are ready when Redis hangs: more than the attempts of any one
// launch.
const warm = 23

// TestAHungRedisCostsLatencyAndNothingElse: a stopped process takes connections and answers
// nothing. Every warm session is served, access checks are answered, and once Redis runs
// again it learns of all that was done without it.
func TestAHungRedisCostsLatencyAndNothingElse(t *testing.T) {
	c, d := startCluster(t, 0)
	scaler := startAgent(t, c, "scaler")
	image := quickImage("warm")
	image.ExecConfig.Assign.Timeout = staging.Duration(20 * time.Second)
	d.ask(t, "PUT", "/v1/images/warm", image, 201, nil)
	d.ask(t, "PUT", "/v1/staging/warm", staging.Config{Zone: "east", Image: "warm", DesiredSessions: warm}, 201, nil)
	d.untilReady(t, "warm", warm)

	hang(t, c)
	all := d.launchWarm(t, "Redis hung", "hung")
	owner, other := all[0], all[1]
	route := "/v1/sessions/" + owner.ID + "/authorize"
	var checks []float64
	for range 50 {
		began := time.Now()
		d.ask(t, "GET", route, nil, 200, nil, "X-Original-URI", "/?token="+owner.Token)
		checks = append(checks, time.Since(began).Seconds()*1000)
	}
	p50, p99 := p50p99(checks)
	measured("Redis hung: access checks of one session: p50 %.1f ms, p99 %.1f ms\n", p50, p99)
	d.ask(t, "GET", route, nil, 401, nil, "X-Original-URI", "/?token="+other.Token)
	d.ask(t, "GET", route, nil, 403, nil, "X-Original-URI", "/?token="+owner.Token, "Origin", "https://elsewhere.example.net")
	var seen launched
	d.ask(t, "GET", "/v1/sessions/"+owner.ID, nil, 200, &seen)
	if seen.State != "assigned" || seen.User.ID != owner.User.ID || seen.page() != owner.page() {
		t.Errorf("while Redis hangs the session reads %+v, launched was %+v", seen, owner)
	}
	// A repeat of the first launch, whose claim Redis will read when it runs again.
	repeat := func() (l launched, r reply) {
		body, err := json.Marshal(launch("warm", "east", "hung-0"))
		must(t, err)
		r, err = d.call("POST", "/v1/sessions", string(body), "Idempotency-Key", "hung-0")
		must(t, err)
		if r.status == 201 {
			must(t, json.Unmarshal(r.body, &l))
		}
		return l, r
	}
	if l, r := repeat(); l.ID != owner.ID {
		t.Errorf("while Redis hangs a repeat was answered with %d %s; first: %s", r.status, r.body, owner.ID)
	}
	must(t, d.stopJob(t, other.ID))
	until(t, "the access check denies a session that has ended", func() (bool, string) {
		r, err := d.call("GET", "/v1/sessions/"+other.ID+"/authorize", "", "X-Original-URI", "/?token="+other.Token)
		must(t, err)
		return r.status == 401 || r.status == 403, fmt.Sprint(r.status, " ", string(r.body))
	})

	must(t, c.Redis.Resume())
	for _, l := range all {
		if l.ID == other.ID {
			d.untilEnded(t, l.ID)
			continue
		}
		until(t, "Redis knows whose "+l.ID+" is", func() (bool, string) {
			r, err := d.call("GET", "/v1/sessions?user="+l.User.ID, "")
			must(t, err)
			var list struct{ Items []launched }
			must(t, json.Unmarshal(r.body, &list))
			ok := slices.ContainsFunc(list.Items, func(s launched) bool { return s.ID == l.ID && s.State == "assigned" })
			return r.status == 200 && ok, string(r.body)
		})
	}
	until(t, "the key's session is known", func() (bool, string) {
		l, r := repeat()
		return l.ID == owner.ID, string(r.body)
	})
	d.untilReady(t, "warm", warm)
	oneUserEach(t, all[2:])

	// The same where Redis answers, and no scaler has renewed the trust in it.
	scaler.End(t, syscall.SIGKILL)
	d.distrust(t, "east")
	later := d.launchWarm(t, "no scaler renews the trust", "untrusted")
	oneUserEach(t, slices.Concat(all[2:], later))
	startAgent(t, c, "scaler")
	d.untilReady(t, "warm", warm)
}

// hang stops Redis's process until the test resumes it, or ends.
func hang(t *testing.T, c *devcluster.Cluster) {
	t.Helper()
	must(t, c.Redis.Pause())
	t.Cleanup(func() { _ = c.Redis.Resume() }) // a process that runs is left as it is
}

// launchWarm launches all warm sessions, one after another, and requires that each is
// served by a staged one, that is nobody else's.
func (d *devProcess) launchWarm(t *testing.T, when, user string) []launched {
	t.Helper()
	var all []launched
	var took []float64
	// Nothing is staged or ended meanwhile. On a busy machine a session's check may fail for a
	// moment, and what does not pass is rightly not given. Nomad may also cut off a hook, and
	// a session of which nobody knows what its hook did is rightly ended: it is no launch's.
	atFirst := d.passing(t, "warm")
	lost := 0
	for i := 0; len(all)+lost < warm; i++ {
		name := fmt.Sprintf("%s-%d", user, i)
		var l launched
		until(t, "all sessions pass their checks", func() (bool, string) {
			now := d.passing(t, "warm")
			gone := slices.DeleteFunc(slices.Clone(atFirst), func(id string) bool { return slices.Contains(now, id) })
			return len(now) >= max(warm, len(atFirst))-lost, fmt.Sprintf("%d of %d and %d of broken hooks; not %v", len(now), len(atFirst), lost, gone)
		})
		began := time.Now()
		d.ask(t, "POST", "/v1/sessions", launch("warm", "east", name), 201, &l, "Idempotency-Key", name)
		took = append(took, time.Since(began).Seconds()*1000)
		for _, a := range l.Attempts {
			if a.Step == string(staging.StepStaged) && a.Outcome == string(staging.OutcomeFailed) {
				lost++
				t.Logf("%s: launch %d met a session whose hook broke: %s", when, i+1, a.Reason)
			}
		}
		if l.Origin != "staged" {
			t.Errorf("%s: launch %d of %d is %s: %+v", when, i+1, warm, l.Origin, l.Attempts)
		}
		if slices.ContainsFunc(all, func(earlier launched) bool { return earlier.ID == l.ID }) {
			t.Errorf("%s: session %s was given twice", when, l.ID)
		}
		all = append(all, l)
	}
	if lost > warm/4 {
		t.Errorf("%s: the hooks of %d of %d sessions broke", when, lost, warm)
	}
	p50, p99 := p50p99(took[1:])
	measured("%s: first launch %.0f ms, then p50 %.1f ms, p99 %.1f ms\n", when, took[0], p50, p99)
	oneUserEach(t, all)
	return all
}

// oneUserEach requires that each session has served its user and nobody else, by its own
// record.
func oneUserEach(t *testing.T, all []launched) {
	t.Helper()
	for _, problem := range servedTwice(t, all) {
		t.Error(problem)
	}
}

// p50p99 returns the median and the 99th percentile.
func p50p99(all []float64) (p50, p99 float64) {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2], sorted[len(sorted)*99/100]
}

// distrust makes the trust in Redis as old as if no scaler had run for minutes.
func (d *devProcess) distrust(t *testing.T, zone string) {
	t.Helper()
	d.trustAt(t, zone, time.Now().Add(-10*time.Minute))
}

// trustNow makes the trust in Redis as fresh as if a scaler had just renewed it.
func (d *devProcess) trustNow(t *testing.T, zone string) {
	t.Helper()
	d.trustAt(t, zone, time.Now())
}

func (d *devProcess) trustAt(t *testing.T, zone string, at time.Time) {
	t.Helper()
	must(t, d.redisClient(t).HSet(t.Context(), "greenroom:vouched:"+zone, "at", at.UnixMilli()).Err())
}

// redisClient returns a client of Redis, which is closed when the test ends.
func (d *devProcess) redisClient(t *testing.T) *redis.Client {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: strings.TrimPrefix(d.Redis, "redis://")})
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

// stopJob stops a session's job, as an operator of Nomad would.
func (d *devProcess) stopJob(t *testing.T, session string) error {
	t.Helper()
	_, _, err := d.nomad(t).Jobs().Deregister(session, false, nil)
	return err
}
