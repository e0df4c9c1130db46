package e2e

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
	"github.com/greenroom/greenroom/internal/staging"
)

// sizedPool is what the API says of a pool with sizing.
type sizedPool struct {
	DesiredNow    int                 `json:"desired_now"`
	DesiredReason string              `json:"desired_reason"`
	Ready         int                 `json:"ready_sessions"`
	Size          *staging.DemandSize `json:"demand_size"`
}

// TestAPoolFollowsItsDemand: launches make it larger, and everything says why. A recommendation
// changes nothing. What has gone on is kept in Consul.
func TestAPoolFollowsItsDemand(t *testing.T) {
	d := sharedDev(t)
	config := d.stage(t, quickImage("follows"), 1, func(c *staging.Config) {
		c.Sizing = &staging.Sizing{Mode: staging.SizingRecommend, Min: 1, Max: 6}
	})
	d.untilReady(t, "follows", 1)
	pool := func() (p sizedPool) {
		d.ask(t, "GET", "/v1/staging/follows", nil, 200, &p)
		return p
	}

	launches := 0
	launchOne := func() {
		var l launched
		launches++
		d.ask(t, "POST", "/v1/sessions?wait=1m", launch("follows", "east", fmt.Sprintf("follower-%d", launches)), 201, &l)
		d.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil)
	}
	agenttest.UntilEvery(t, time.Second, "launches raise what the demand asks for", func() (bool, string) {
		launchOne()
		p := pool()
		return p.Size != nil && p.Size.Wanted >= 3, fmt.Sprintf("%+v %+v after %d launches", p, p.Size, launches)
	})
	if p := pool(); p.DesiredNow != 1 || p.DesiredReason != "" || !strings.Contains(p.Size.Reason, "launches a minute expected (") {
		t.Errorf("a recommendation: %+v %+v", p, p.Size)
	}
	if n := len(d.jobs(t, "follows")); n > 3 { // one, one in its place, and one that is ending
		t.Errorf("a recommendation staged: Nomad runs %d", n)
	}
	out, errs, err := d.greenroom("", "staging", "show", "follows")
	if err != nil || !strings.Contains(out, "recommend, 99% served warm, 1 to 6 sessions") || !strings.Contains(out, "recommended") {
		t.Errorf("%v\n%s%s", err, out, errs)
	}

	highest := 0
	config.Sizing.Mode = staging.SizingDemand
	d.ask(t, "PUT", "/v1/staging/follows", config, 200, nil)
	agenttest.UntilEvery(t, time.Second, "the pool follows: Nomad runs and Consul shows what the demand asks for", func() (bool, string) {
		launchOne()
		p := pool()
		highest = max(highest, p.DesiredNow)
		passing := len(d.passing(t, "follows"))
		return p.DesiredNow >= 3 && p.DesiredNow <= 6 && p.Ready >= 3 && passing >= 3 && strings.Contains(p.DesiredReason, "launches a minute expected ("),
			fmt.Sprintf("%+v, %d pass their checks", p, passing)
	})
	agenttest.UntilEvery(t, time.Second, "an event says why", func() (bool, string) {
		launchOne()
		for _, e := range d.events(t) {
			if e["type"] == "sized" && e["pool"] == "follows" && strings.Contains(fmt.Sprint(e["reason"]), " wanted: ") {
				return true, ""
			}
		}
		return false, ""
	})
	d.untilStanding(t, "follows", "passing", "launches a minute expected (")

	p := openLoggedIn(t, d)
	p.press("follows")
	p.shows("Last 3 hours and what is expected next", "expected", "launches a minute expected (", "in 1 h")
	untilComing(t, p, "in the next 1 h ")
	p.pictures("pool-sized")
	p.press("24 hours")
	p.shows("Last 24 hours and what is expected next", "claims in 24 hours", "in 8 h")
	untilComing(t, p, "in the next 8 h ")
	p.keep("pool-sized-day")
	p.press("Edit follows")
	p.fill("Served warm", "99")
	p.press("Save")
	until(t, "an error of the sizing is shown at its field", func() (bool, string) {
		return strings.HasPrefix(p.wrong("Served warm"), "must be between 0.5 and 0.9999"), p.wrong("Served warm")
	})
	p.pictures("form-sizing")
	p.press("Cancel")
	p.press("Discard")

	until(t, "without launches the pool shrinks", func() (bool, string) {
		p := pool()
		return p.DesiredNow < highest && len(d.jobs(t, "follows")) == p.DesiredNow, fmt.Sprintf("%+v of %d, %d jobs", p, highest, len(d.jobs(t, "follows")))
	})

	out, errs, err = d.greenroom("", "history", "follows", "--since", "30m", "--step", "1m", "-o", "csv")
	must(t, err)
	claims, misses, wanted, expected := 0, 0, 0, false
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	must(t, err)
	for _, row := range rows[1:] {
		n, _ := strconv.Atoi(row[1])
		m, _ := strconv.Atoi(row[2])
		w, _ := strconv.Atoi(row[4])
		claims, misses, wanted, expected = claims+n, misses+m, max(wanted, w), expected || row[7] != ""
	}
	if claims+misses != launches || wanted < 1 || !expected {
		t.Errorf("%d claims and %d misses of %d launches, %d wanted, a forecast: %v\n%s%s", claims, misses, launches, wanted, expected, out, errs)
	}
}

// untilComing waits until the plot of a pool draws what is expected of the coming hours, from now on
// to its right end, and says so in words.
func untilComing(t *testing.T, p *tab, words string) {
	t.Helper()
	type drawn struct {
		Words string
		// The line of now, the first and the last x of the expected launches and of their band, and
		// the plot's width.
		Now, From, To, BandTo, Width float64
	}
	until(t, "the plot draws the coming hours", func() (bool, string) {
		d := eval[drawn](p, `(() => {
			const plot = document.querySelector('svg.plot.large');
			const xs = (name) => (plot?.querySelector(name)?.getAttribute('points') ?? '').split(' ').map((at) => Number(at.split(',')[0]));
			const line = xs('.expected-line.coming');
			return {
				Words: plot?.getAttribute('aria-label') ?? '', Now: Number(plot?.querySelector('.now')?.getAttribute('x1') ?? 0),
				From: line[0], To: line.at(-1), BandTo: Math.max(...xs('.band.coming')), Width: Number(plot?.getAttribute('width') ?? 0),
			};
		})()`)
		return d.Now > 0 && d.From >= d.Now-10 && d.From <= d.Now+1 && d.To > d.Width-20 && d.BandTo == d.To &&
			strings.Contains(d.Words, words) && strings.Contains(d.Words, "launches a minute are expected"), fmt.Sprintf("%+v", d)
	})
}

// TestHistoriesAreKeptInConsul, where they survive the loss of Redis.
func TestHistoriesAreKeptInConsul(t *testing.T) {
	d := sharedDev(t)
	recent := func() (h struct{ Minutes []staging.Minute }) {
		d.ask(t, "GET", "/v1/staging/demo-east/history", nil, 200, &h)
		return h
	}
	agenttest.UntilEvery(t, time.Second, "a minute is over", func() (bool, string) {
		h := recent()
		return len(h.Minutes) >= 2, fmt.Sprint(h)
	})
	agenttest.UntilEvery(t, time.Second, "the day's history of a pool is in Consul", func() (bool, string) {
		keys, _, err := d.consul(t).KV().Keys("greenroom/history/", "", nil)
		must(t, err)
		for _, day := range []time.Time{time.Now(), time.Now().Add(-time.Hour)} {
			key := "greenroom/history/demo-east/" + day.UTC().Format(time.DateOnly)
			if pair, _, err := d.consul(t).KV().Get(key, nil); err == nil && pair != nil && len(pair.Value) > 0 {
				return true, ""
			}
		}
		return false, fmt.Sprint(keys)
	})
	var h struct{ Minutes []staging.Minute }
	since := time.Now().Add(-48 * time.Hour).UTC().Format(time.RFC3339)
	d.ask(t, "GET", "/v1/staging/demo-east/history?step=60&since="+since, nil, 200, &h)
	if len(h.Minutes) == 0 || h.Minutes[0].Ready == nil {
		t.Errorf("%+v", h)
	}
	d.ask(t, "GET", "/v1/staging/demo-east/history?since=2020-01-01T00:00:00Z", nil, 422, nil)
	d.ask(t, "GET", "/v1/staging/demo-east/history?step=1441", nil, 422, nil)
}

// TestPoolsOfAFullZoneShareWhatItHolds: two pools follow their demand in a zone that holds five
// of their sessions. Each has some, Nomad is asked for one more than there is room for at most, and
// the pools say what they lack.
func TestPoolsOfAFullZoneShareWhatItHolds(t *testing.T) {
	d := sharedDev(t)
	const fit = 5
	large := func(name string) staging.Image {
		image := quickImage(name)
		image.Variables["memory"] = strconv.Itoa(d.memoryOf(t, "dc1") / (fit + 1))
		return image
	}
	names := []string{"share-a", "share-b"}
	for _, name := range names {
		d.stage(t, large(name), 0, func(c *staging.Config) {
			c.Sizing = &staging.Sizing{Mode: staging.SizingDemand, Max: 10}
		})
	}
	pool := func(name string) (p sizedPool) {
		d.ask(t, "GET", "/v1/staging/"+name, nil, 200, &p)
		return p
	}
	launches := 0
	agenttest.UntilEvery(t, 200*time.Millisecond, "both pools have a share of the zone, and lack more", func() (bool, string) {
		var all []sizedPool
		wanted, ready, lacking := 0, 0, 0
		for _, name := range names {
			launches++
			body, err := json.Marshal(launch(name, "east", fmt.Sprintf("%s-%d", name, launches)))
			must(t, err)
			r, err := d.call("POST", "/v1/sessions", string(body))
			must(t, err)
			var l launched
			if r.status == 201 { // else there was no room, and the launch counts all the same
				must(t, json.Unmarshal(r.body, &l))
				d.ask(t, "DELETE", "/v1/sessions/"+l.ID, nil, 204, nil)
			}
			p := pool(name)
			all = append(all, p)
			wanted, ready = wanted+p.DesiredNow, ready+min(p.Ready, 1)
			if p.Size != nil {
				lacking += p.Size.Lacking
			}
		}
		return ready == len(names) && lacking > 0 && wanted <= fit+1, fmt.Sprintf("%+v", all)
	})
	jobs := 0
	for _, name := range names {
		jobs += len(d.jobs(t, name))
	}
	if jobs > 2*fit { // some are ending
		t.Errorf("Nomad has %d jobs of a zone that holds %d", jobs, fit)
	}
	for _, name := range names {
		if p := pool(name); p.Size != nil && p.Size.Lacking > 0 {
			d.untilCondition(t, name, staging.CapacityExhausted, "")
			return
		}
	}
}

// memoryOf returns the memory of the node of a datacenter that runs sessions, in MB.
func (d *devProcess) memoryOf(t *testing.T, datacenter string) int {
	t.Helper()
	nodes, _, err := d.nomad(t).Nodes().List(nil)
	must(t, err)
	for _, n := range nodes {
		if n.Datacenter == datacenter {
			info, _, err := d.nomad(t).Nodes().Info(n.ID, nil)
			must(t, err)
			return int(info.NodeResources.Memory.MemoryMB)
		}
	}
	t.Fatalf("no node in datacenter %s", datacenter)
	return 0
}
