package e2e

import (
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// TestAChangedConfigServesNothingOfBefore: a launch never gets a session of an image or zone
// that the config named before, and a changed image refreshes the pool.
func TestAChangedConfigServesNothingOfBefore(t *testing.T) {
	d := sharedDev(t)
	c := d.stage(t, quickImage("before"), 2)
	d.untilReady(t, "before", 2)
	d.ask(t, "PUT", "/v1/images/after", quickImage("after"), 201, nil)
	t.Cleanup(func() {
		d.ask(t, "PUT", "/v1/staging/before", staging.Config{Name: "before", Zone: "east", Image: "before"}, 200, nil)
		d.ask(t, "DELETE", "/v1/images/after", nil, 204, nil)
		d.endAll(t, "after")
	})
	c.Image = "after"
	d.ask(t, "PUT", "/v1/staging/before", c, 200, nil)
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("after", "east", "lena"), 201, &l)
	if l.Image != "after" {
		t.Errorf("a launch of image after was given a session of image %s", l.Image)
	}
	until(t, "the pool holds sessions of the new image only", func() (bool, string) {
		old, now := d.jobs(t, "before"), d.passing(t, "before")
		return len(old) == 0 && len(now) >= 2, fmt.Sprintf("%v of before, %d passing", old, len(now))
	})
	d.untilReady(t, "before", 2)

	first := d.passing(t, "before")
	image := quickImage("after")
	image.Variables["record"] = "K,L"
	d.ask(t, "PUT", "/v1/images/after", image, 200, nil)
	until(t, "every session is of the new revision", func() (bool, string) {
		now := d.passing(t, "before")
		for _, id := range now {
			if id != l.ID && slices.Contains(first, id) {
				return false, fmt.Sprint(now)
			}
		}
		return len(now) >= 2, fmt.Sprint(now)
	})
	d.untilReady(t, "before", 2)
}

// TestAWipedRedisCostsAMomentAndNoSession: the pools become claimable again, an assigned
// session keeps its user, and a session that is starting gets its user.
func TestAWipedRedisCostsAMomentAndNoSession(t *testing.T) {
	d := sharedDev(t)
	d.stage(t, quickImage("wiped"), 3)
	d.untilReady(t, "wiped", 3)
	slow := quickImage("wiped-slow")
	slow.Variables["warmup"] = "4s"
	d.ask(t, "PUT", "/v1/images/wiped-slow", slow, 201, nil)
	t.Cleanup(func() {
		d.endAll(t, "wiped-slow")
		d.ask(t, "DELETE", "/v1/images/wiped-slow", nil, 204, nil)
	})
	var mine, coming launched
	d.ask(t, "POST", "/v1/sessions", launch("wiped", "east", "mia"), 201, &mine)
	d.untilReady(t, "wiped", 3)
	d.ask(t, "POST", "/v1/sessions?wait=1ms", launch("wiped-slow", "east", "nina"), 202, &coming)

	rdb := redis.NewClient(&redis.Options{Addr: d.Redis})
	defer rdb.Close()
	must(t, rdb.FlushAll(t.Context()).Err())
	d.untilReady(t, "wiped", 3)
	for _, l := range []launched{mine, coming} {
		until(t, l.User.Name+"'s session is known as hers", func() (bool, string) {
			r, err := d.call("GET", "/v1/sessions/"+l.ID, "")
			must(t, err)
			if r.status != 200 {
				return false, string(r.body)
			}
			var s launched
			d.ask(t, "GET", "/v1/sessions/"+l.ID, nil, 200, &s)
			return s.State == "assigned" && s.User == l.User, string(r.body)
		})
	}
	if n := len(d.jobs(t, "wiped")); n != 4 {
		t.Errorf("Nomad has %d jobs of the pool, want the 3 ready and the assigned one", n)
	}
}

// TestARedisThatRefusesWritesIsWaitedFor: attempts are few, the conditions have the reason,
// and the pool fills once Redis accepts writes again.
func TestARedisThatRefusesWritesIsWaitedFor(t *testing.T) {
	d, err := startDev("--driver", "mock", "--zones", "1", "--desired", "1")
	must(t, err)
	defer func() { must(t, d.stop(syscall.SIGINT)) }()
	rdb := redis.NewClient(&redis.Options{Addr: d.Redis})
	defer rdb.Close()
	must(t, rdb.ConfigSet(t.Context(), "maxmemory", "1").Err())
	d.ask(t, "PUT", "/v1/staging/demo-east", staging.Config{Name: "demo-east", Zone: "east", Image: "demo", DesiredSessions: 2}, 200, nil)
	metric := `greenroom_scaler_steps_total{kind="stage",result="failed"}`
	until(t, "the scaler has tried in vain", func() (bool, string) {
		n := d.scalerMetric(t, metric)
		return n >= 2, fmt.Sprint(n)
	})
	if n := d.scalerMetric(t, metric); n > 10 {
		t.Errorf("%v attempts at once: it does not wait", n)
	}
	must(t, rdb.ConfigSet(t.Context(), "maxmemory", "0").Err())
	d.untilReady(t, "demo-east", 2)
}
