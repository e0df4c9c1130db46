package scaler

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// launchesOf draws how many launches there are in a minute at a rate.
func launchesOf(r *rand.Rand, rate float64) int {
	n := 0
	for sum := r.ExpFloat64(); sum < rate; sum += r.ExpFloat64() {
		n++
	}
	return n
}

// historyAt is a history by the minute of some days before noon, at a rate by the hour.
func historyAt(days int, rate func(hour int) float64) []staging.Minute {
	r := rand.New(rand.NewPCG(3, 4))
	var minutes []staging.Minute
	for at := noon.Add(-time.Duration(days) * 24 * time.Hour); at.Before(noon); at = at.Add(time.Minute) {
		minutes = append(minutes, staging.Minute{At: at, Claims: launchesOf(r, rate(at.Hour())), Made: 1, ToReadySeconds: 30})
	}
	return minutes
}

func newPool(t *testing.T, s staging.Sizing, history []staging.Minute) *demandPool {
	t.Helper()
	d, err := newDemandPool(s, history, noon)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// minuteAt is a minute with counts, and so long ago.
func minuteAt(ago, claims, misses, made int, toReady float64) staging.Minute {
	return staging.Minute{At: noon.Add(-time.Duration(ago) * time.Minute), Claims: claims, Misses: misses, Made: made, ToReadySeconds: toReady}
}

// TestADemandPoolLearnsFromItsHistory: it is as large at noon as the noons before ask for.
func TestADemandPoolLearnsFromItsHistory(t *testing.T) {
	s := staging.Sizing{Mode: staging.SizingDemand, Max: 100}
	busy := newPool(t, s, historyAt(14, func(hour int) float64 {
		if hour >= 10 && hour < 14 {
			return 20
		}
		return 0.5
	}))
	quiet := newPool(t, s, historyAt(14, func(int) float64 { return 0.5 }))
	busy.observe(nil, noon.Add(time.Second))
	quiet.observe(nil, noon.Add(time.Second))
	// 20 a minute and 30 s to ready are 10 on their way at any time; Erlang wants some 18 for that.
	if busy.size.Wanted < 10 || busy.size.Wanted > 40 || quiet.size.Wanted > 5 {
		t.Errorf("a busy noon wants %d (%s), a quiet one %d (%s)", busy.size.Wanted, busy.size.Reason, quiet.size.Wanted, quiet.size.Reason)
	}
	if busy.refill.Mean() != 30*time.Second || !strings.Contains(busy.size.Reason, "30 s to ready, 99% served warm") {
		t.Errorf("%s: %s", busy.refill.Mean(), busy.size.Reason)
	}
}

// TestADemandPoolCountsALaunchOnce, however often its minute is read, and what comes after Redis
// was wiped.
func TestADemandPoolCountsALaunchOnce(t *testing.T) {
	s := staging.Sizing{Mode: staging.SizingDemand, Max: 1000}
	once, often := newPool(t, s, nil), newPool(t, s, nil)
	burst := []staging.Minute{minuteAt(0, 30, 5, 4, 12)}
	once.observe(burst, noon)
	often.observe(burst, noon)
	for i := range 20 {
		at := noon.Add(time.Duration(i) * 2 * time.Second)
		once.observe([]staging.Minute{minuteAt(0, 0, 0, 0, 0)}, at)
		often.observe(burst, at)
	}
	if once.size.Expected != often.size.Expected || often.refill.Mean() != 12*time.Second {
		t.Errorf("%+v after counting once, %+v after counting often, %s to ready", once.size, often.size, often.refill.Mean())
	}
	if once.size.Wanted < 1 {
		t.Errorf("a burst of 35 launches, and %d are wanted", once.size.Wanted)
	}
	before := often.size.Expected
	often.observe([]staging.Minute{minuteAt(0, 200, 0, 0, 0)}, noon.Add(50*time.Second))
	if often.size.Expected <= before {
		t.Errorf("200 launches more, and %g a minute are expected after %g", often.size.Expected, before)
	}
}

// TestADemandPoolAnnouncesChanges, one a minute at most.
func TestADemandPoolAnnouncesChanges(t *testing.T) {
	d := newPool(t, staging.Sizing{Mode: staging.SizingDemand, Max: 50}, nil)
	d.observe(nil, noon)
	if !d.announce() || d.announce() {
		t.Error("the first size is announced once")
	}
	if d.observe([]staging.Minute{minuteAt(0, 40, 10, 0, 0)}, noon.Add(10*time.Second)); d.announce() {
		t.Errorf("a change that follows at once is announced later: %+v", d.size)
	}
	d.observe([]staging.Minute{minuteAt(0, 80, 10, 0, 0)}, noon.Add(65*time.Second))
	if !d.announce() || d.announced != d.size.Wanted {
		t.Errorf("%+v is not announced after a minute", d.size)
	}
}

// TestAHistoryIsStoredWhileSomethingGoesOn, a while after each minute is over.
func TestAHistoryIsStoredWhileSomethingGoesOn(t *testing.T) {
	quiet := []staging.Minute{minuteAt(4, 0, 0, 0, 0), minuteAt(3, 0, 0, 0, 0), minuteAt(1, 0, 0, 0, 0), minuteAt(0, 7, 0, 0, 0)}
	busy := append([]staging.Minute{minuteAt(4, 1, 0, 0, 0)}, quiet[1:]...)
	for _, c := range []struct {
		what    string
		minutes []staging.Minute
		since   time.Time
		want    int
	}{
		{"at first all that is over", quiet, time.Time{}, 2},
		{"nothing goes on", quiet, noon.Add(-5 * time.Minute), 0},
		{"nothing has gone on for long", quiet, noon.Add(-time.Hour), 2},
		{"a launch", busy, noon.Add(-5 * time.Minute), 2},
		{"a launch that is stored already", busy, noon.Add(-3 * time.Minute), 0},
	} {
		if fresh := freshHistory(c.minutes, c.since, noon); len(fresh) != c.want {
			t.Errorf("%s: %+v", c.what, fresh)
		}
	}
}

// TestPoolsOfAFullZoneShareIt: what there is goes where it avoids the most misses, by weight, and
// one session more is tried. Pools of other zones and recommendations are not concerned.
func TestPoolsOfAFullZoneShareIt(t *testing.T) {
	busyDay := historyAt(3, func(int) float64 { return 12 })
	s := staging.Sizing{Mode: staging.SizingDemand, Max: 100}
	rooms := func(placed int, full bool, zone string, sizing staging.Sizing) poolRoom {
		return poolRoom{config: staging.Config{Zone: zone, Sizing: &sizing}, placed: placed, full: full}
	}
	share := func(weight float64, full bool) map[string]*demandPool {
		heavy := s
		heavy.Weight = weight
		recommend := s
		recommend.Mode = staging.SizingRecommend
		pools := map[string]poolRoom{
			"a": rooms(4, full, "east", s), "b": rooms(4, false, "east", heavy), "far": rooms(4, false, "west", s), "fixed": rooms(4, false, "east", recommend),
		}
		z := sizer{pools: map[string]*demandPool{}}
		for name, p := range pools {
			z.pools[name] = newPool(t, *p.config.Sizing, busyDay)
			z.pools[name].observe(nil, noon.Add(time.Second))
		}
		z.share(pools)
		return z.pools
	}
	free, equal, heavy := share(1, false), share(1, true), share(20, true)
	wants := free["a"].size.Wanted
	if wants < 6 || free["b"].size.Wanted != wants || free["a"].size.Lacking != 0 {
		t.Fatalf("in a zone with room: %+v and %+v", free["a"].size, free["b"].size)
	}
	a, b := equal["a"].size, equal["b"].size
	if a.Wanted+b.Wanted != 9 || a.Wanted-b.Wanted > 1 || b.Wanted > a.Wanted || a.Lacking != wants-a.Wanted || a.Keep != a.Wanted {
		t.Errorf("8 are placed, and alike pools share %+v and %+v", a, b)
	}
	if !strings.Contains(b.Reason, " of ") || !strings.Contains(b.Reason, "zone east is full") {
		t.Errorf("the reason is %q", b.Reason)
	}
	if h := heavy["b"].size; h.Wanted <= b.Wanted || h.Wanted+heavy["a"].size.Wanted != 9 {
		t.Errorf("20 times as heavy it gets %+v, beside %+v", h, heavy["a"].size)
	}
	if equal["far"].size.Wanted != wants || equal["fixed"].size.Wanted != wants {
		t.Errorf("another zone's wants %+v, a recommendation is %+v", equal["far"].size, equal["fixed"].size)
	}

	in := PoolInput{Desired: 4, Lacking: 3, Config: staging.Config{Name: "b", Zone: "east"}}
	if cs := Decide(in, DefaultBounds, noon).Conditions; len(cs) != 1 || cs[0].Type != staging.CapacityExhausted || !strings.Contains(cs[0].Message, "zone east has no room for 3 more sessions that the demand asks for") {
		t.Errorf("conditions: %+v", cs)
	}
}
