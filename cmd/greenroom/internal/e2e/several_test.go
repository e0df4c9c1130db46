package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// launchedList is the answer to a launch for several sessions.
type launchedList struct{ Items []launched }

func (l launchedList) ids() (ids []string) {
	for _, s := range l.Items {
		ids = append(ids, s.ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// classOf returns the body of a launch for n sessions.
func classOf(image, zone, user string, n int) map[string]any {
	return launchWith(image, zone, user, map[string]any{"count": n})
}

// tooFew launches several sessions, and requires an immediate refusal with a text.
func (d *devProcess) tooFew(t *testing.T, body map[string]any, says string) {
	t.Helper()
	var p struct{ Code, Detail string }
	r := d.ask(t, "POST", "/v1/sessions", body, http.StatusServiceUnavailable, &p)
	if p.Code != "no_capacity" || !strings.Contains(p.Detail, says) || r.header.Get("Retry-After") == "" {
		t.Errorf("Retry-After %q: %s; want it to say %q", r.header.Get("Retry-After"), r.body, says)
	}
}

// theirs checks each session's own record of its users.
func theirs(t *testing.T, l launchedList, user string) {
	t.Helper()
	for _, s := range l.Items {
		if got := record(t, s); len(got) != 1 || got[0].UserName != user || got[0].Session != s.ID {
			t.Errorf("session %s of %s says that it served %+v", s.ID, user, got)
		}
	}
}

// TestSeveralAreGivenOrNoneAndTheRestStaysReady: of 3 ready sessions, a launch of 4 is refused
// and costs nothing, and a launch of 3 is served.
func TestSeveralAreGivenOrNoneAndTheRestStaysReady(t *testing.T) {
	d := sharedDev(t)
	d.stage(t, quickImage("class"), 3)
	d.untilReady(t, "class", 3)
	before := d.jobs(t, "class")
	d.tooFew(t, classOf("class", "east", "tess", 4), "ready are 3")
	var s poolStatus
	d.ask(t, "GET", "/v1/staging/class", nil, 200, &s)
	if s.Ready != 3 {
		t.Errorf("%d are ready after a launch for 4 was refused, want all 3", s.Ready)
	}
	var l launchedList
	r := d.ask(t, "POST", "/v1/sessions", classOf("class", "east", "tess", 3), 201, &l)
	var want []string
	for _, j := range before {
		want = append(want, j.id)
	}
	if !slices.Equal(l.ids(), want) || r.header.Get("Location") != "/v1/sessions?user=u-tess" {
		t.Fatalf("given %v of %v, Location %q", l.ids(), want, r.header.Get("Location"))
	}
	tokens := map[string]bool{}
	for _, s := range l.Items {
		tokens[s.Token] = true
		if s.State != "assigned" || s.Origin != "staged" || s.User.Name != "tess" || len(s.Attempts) != 1 || s.Attempts[0].Outcome != "served" {
			t.Errorf("%+v", s)
		}
	}
	if len(tokens) != 3 {
		t.Errorf("%d tokens for 3 sessions", len(tokens))
	}
	theirs(t, l, "tess")
	d.ask(t, "GET", r.header.Get("Location"), nil, 200, &l)
	if !slices.Equal(l.ids(), want) {
		t.Errorf("the list of the user's: %v", l.ids())
	}

	d.untilReady(t, "class", 3)
	cmd := command("launch", "class", "--zone", "east", "--user", "ulf", "--count", "2", "--together", "-o", "json", "--address", d.Broker)
	out, err := cmd.Output()
	if err != nil || json.Unmarshal(out, &l) != nil || len(l.ids()) != 2 {
		t.Fatalf("greenroom launch --count 2: %v %s", err, out)
	}
	theirs(t, l, "ulf")
}

// TestOfTwoClassesAtOnceOneIsServed: two concurrent launches of 4 on 6 ready sessions. Exactly
// one is served, and 2 sessions stay ready. There is no scaler that creates more.
func TestOfTwoClassesAtOnceOneIsServed(t *testing.T) {
	d := withoutScaler(t, 6)
	statuses := make([]int, 2)
	var wg sync.WaitGroup
	for i := range statuses {
		body := jsonText(classOf("mock", "east", fmt.Sprint("class-", i), 4))
		wg.Go(func() {
			r, err := d.call("POST", "/v1/sessions", body)
			if err != nil {
				t.Error(err)
			}
			statuses[i] = r.status
		})
	}
	wg.Wait()
	slices.Sort(statuses)
	if !slices.Equal(statuses, []int{201, 503}) {
		t.Errorf("answered %v", statuses)
	}
	d.readyNow(t, "mock", 2)
}

// withoutScaler starts servers with a pool of ready mock sessions, and no scaler that would
// replace them.
func withoutScaler(t *testing.T, ready int) *devProcess {
	t.Helper()
	c, d := startCluster(t, ready)
	scaler := startAgent(t, c, "scaler")
	d.untilReady(t, "mock", ready)
	scaler.End(t, syscall.SIGKILL)
	return d
}

// readyNow requires that a pool has n ready sessions now.
func (d *devProcess) readyNow(t *testing.T, pool string, n int) {
	t.Helper()
	var s poolStatus
	d.ask(t, "GET", "/v1/staging/"+pool, nil, 200, &s)
	if s.Ready != n {
		t.Errorf("%d are ready in %s, want %d", s.Ready, pool, n)
	}
}

// TestTheUnusedGoBackBesideOneThatIsSomebodys: the oldest session has another user, which
// Consul knows and Redis does not. The other sessions of the claim are unclaimed.
func TestTheUnusedGoBackBesideOneThatIsSomebodys(t *testing.T) {
	d := withoutScaler(t, 3)
	jobs := d.jobs(t, "mock") // the ids are sorted by time of creation
	fate := jsonText(staging.Fate{
		Session: jobs[0].id, Verdict: staging.VerdictAssigned, Claim: "another", User: &staging.User{ID: "u-other", Name: "other"}, Zone: "east",
	})
	_, err := d.consul(t).KV().Put(&consulapi.KVPair{Key: "greenroom/fates/" + jobs[0].id, Value: []byte(fate)}, nil)
	must(t, err)
	d.tooFew(t, classOf("mock", "east", "class", 3), "ready are 2")
	d.readyNow(t, "mock", 2)
	if s := d.session(t, jobs[0].id); s.User.ID != "u-other" {
		t.Errorf("the one that is another's: %+v", s)
	}
	var l launchedList
	d.ask(t, "POST", "/v1/sessions", classOf("mock", "east", "class", 2), 201, &l)
	if want := []string{jobs[1].id, jobs[2].id}; !slices.Equal(l.ids(), want) {
		t.Errorf("given %v, want the two that went back: %v", l.ids(), want)
	}
}

// TestTogetherIsOneRealZone: without together, the alternate zone adds sessions.
func TestTogetherIsOneRealZone(t *testing.T) {
	d := sharedDev(t)
	d.zone(t, "there", "dc2")
	d.zone(t, "here", "dc1", func(z *staging.Zone) { z.SearchAlternateZones, z.AlternateZones = true, []string{"there"} })
	d.store(t, quickImage("match"))
	for name, n := range map[string]int{"match-here": 1, "match-there": 2} {
		zone := strings.TrimPrefix(name, "match-")
		d.ask(t, "PUT", "/v1/staging/"+name, staging.Config{Name: name, Zone: zone, Image: "match", DesiredSessions: n}, 201, nil)
		t.Cleanup(func() { d.ask(t, "DELETE", "/v1/staging/"+name, nil, 204, nil) })
	}
	both := func() {
		t.Helper()
		d.untilReady(t, "match-here", 1)
		d.untilReady(t, "match-there", 2)
	}
	zones := func(l launchedList) (zones []string) {
		for _, s := range l.Items {
			zones = append(zones, s.Zone)
		}
		slices.Sort(zones)
		return zones
	}
	both()
	together := classOf("match", "here", "mia", 3)
	together["together"] = true
	d.tooFew(t, together, "1 in zone here, 2 in zone there")
	d.readyNow(t, "match-here", 1)
	d.readyNow(t, "match-there", 2)
	together["count"] = 2
	var l launchedList
	d.ask(t, "POST", "/v1/sessions", together, 201, &l)
	if got := zones(l); !slices.Equal(got, []string{"there", "there"}) {
		t.Errorf("two together are in %v", got)
	}
	both()
	d.ask(t, "POST", "/v1/sessions", classOf("match", "here", "mia", 3), 201, &l)
	if got := zones(l); !slices.Equal(got, []string{"here", "there", "there"}) {
		t.Errorf("three are in %v", got)
	}
	theirs(t, l, "mia")
}

// TestAHookThatFailsInOneDestroysAll, also those in which it succeeded; other sessions serve.
func TestAHookThatFailsInOneDestroysAll(t *testing.T) {
	d := sharedDev(t)
	image := quickImage("brittle")
	// The hook fails in the session in which it runs first.
	first := filepath.Join(t.TempDir(), "first")
	image.ExecConfig.Assign = &staging.Hook{Cmd: append([]string{"/bin/sh", "-c", `mkdir "$0" 2>/dev/null && exit 3; exec "$@"`, first}, demo("assign")...)}
	d.stage(t, image, 4)
	d.untilReady(t, "brittle", 4)
	jobs := d.jobs(t, "brittle")
	var l launchedList
	d.ask(t, "POST", "/v1/sessions", classOf("brittle", "east", "pat", 2), 201, &l)
	if want := []string{jobs[2].id, jobs[3].id}; !slices.Equal(l.ids(), want) {
		t.Errorf("given %v, want the two that were not tried at first: %v", l.ids(), want)
	}
	if a := l.Items[0].Attempts; len(a) != 2 || a[0].Outcome != "failed" || a[1].Outcome != "served" {
		t.Errorf("attempts: %+v", a)
	}
	theirs(t, l, "pat")
	for _, j := range jobs[:2] {
		if reason := d.untilEnded(t, j.id); !strings.Contains(reason, "3") {
			t.Errorf("session %s ended since %q", j.id, reason)
		}
	}
}

// TestAKeyOfSeveralIsTheSameSessionsAgain, also when Redis has lost the key.
func TestAKeyOfSeveralIsTheSameSessionsAgain(t *testing.T) {
	d := sharedDev(t)
	d.stage(t, quickImage("keys"), 3)
	d.untilReady(t, "keys", 3)
	key := "several-" + staging.NewClaimID()
	repeat := func() (l launchedList) {
		t.Helper()
		d.ask(t, "POST", "/v1/sessions", classOf("keys", "east", "kay", 3), 201, &l, "Idempotency-Key", key)
		return l
	}
	first := repeat()
	if len(first.ids()) != 3 {
		t.Fatalf("given %v", first.ids())
	}
	same := func(when string) {
		t.Helper()
		again := repeat()
		if !slices.Equal(again.ids(), first.ids()) || again.Items[2].Token != first.Items[2].Token || again.Items[0].ID != first.Items[0].ID {
			t.Errorf("%s a repeat is given %v, the first launch %v", when, again.ids(), first.ids())
		}
	}
	same("at once")
	d.untilReady(t, "keys", 3)
	rdb := redis.NewClient(&redis.Options{Addr: d.Redis})
	defer rdb.Close()
	keys, err := rdb.Keys(t.Context(), "greenroom:key:*").Result()
	must(t, err)
	must(t, rdb.Del(t.Context(), keys...).Err())
	same("with a Redis that forgot")
	same("after that")
	// The scaler may only have begun to replace sessions that were claimed for a moment.
	var list launchedList
	d.ask(t, "GET", "/v1/sessions?image=keys&state=claimed,ending", nil, 200, &list)
	if len(list.Items) != 0 {
		t.Errorf("what the repeat had claimed did not go back: %+v", list.Items)
	}
	d.untilReady(t, "keys", 3)
	for _, n := range []int{2, 4} {
		r := d.ask(t, "POST", "/v1/sessions", classOf("keys", "east", "kay", n), 422, nil, "Idempotency-Key", key)
		if !strings.Contains(string(r.body), "idempotency_key_reused") {
			t.Errorf("a count of %d: %s", n, r.body)
		}
	}
	theirs(t, first, "kay")
}

// TestABrokerKilledAmongSeveralLeavesNothingClaimed: sessions that it had not finished end when
// their lease expires; a finished launch keeps its sessions, also for its repeats. A lease is
// minutes, so the test makes it expire in Consul.
func TestABrokerKilledAmongSeveralLeavesNothingClaimed(t *testing.T) {
	c, d := startCluster(t, 0)
	scaler := startAgent(t, c, "scaler")
	image := quickImage("hangs")
	image.ExecConfig.Assign = &staging.Hook{Cmd: []string{"/bin/sleep", "100"}, Timeout: staging.Duration(2 * time.Minute)}
	d.ask(t, "PUT", "/v1/images/hangs", image, 201, nil)
	d.ask(t, "PUT", "/v1/staging/hangs", staging.Config{Zone: "east", Image: "hangs", DesiredSessions: 4}, 201, nil)
	d.untilReady(t, "hangs", 4)
	scaler.End(t, syscall.SIGKILL)
	victim := startAgent(t, c, "broker")
	at := &devProcess{readyFile: readyFile{Broker: "http://" + victim.Address}}
	var wg sync.WaitGroup
	for _, user := range []string{"lost", "kept"} {
		body := jsonText(classOf("hangs", "east", user, 2))
		wg.Go(func() { _, _ = at.call("POST", "/v1/sessions", body, "Idempotency-Key", user) }) // it dies
	}
	kv := d.consul(t).KV()
	fates := map[string]staging.Fate{}
	until(t, "both launches have their fates", func() (bool, string) {
		pairs, _, err := kv.List("greenroom/fates/", nil)
		must(t, err)
		for _, p := range pairs {
			var f staging.Fate
			must(t, json.Unmarshal(p.Value, &f))
			fates[f.Session] = f
		}
		return len(fates) == 4, fmt.Sprint(fates)
	})
	victim.End(t, syscall.SIGKILL)
	wg.Wait()
	for id, f := range fates {
		if !f.HookPending || len(f.Sessions) != 2 {
			t.Errorf("the fate of %s: %+v", id, f)
		}
		// A scaler counts the length of the lease from when it first sees the claim.
		f.Lease = f.DecidedAt.Add(time.Second)
		f.HookPending = f.User.Name == "lost"
		_, err := kv.Put(&consulapi.KVPair{Key: "greenroom/fates/" + id, Value: []byte(jsonText(f))}, nil)
		must(t, err)
	}
	startAgent(t, c, "scaler")
	for id, f := range fates {
		if f.User.Name == "lost" {
			d.untilEnded(t, id)
			continue
		}
		until(t, "Redis has heard that "+id+" is assigned", func() (bool, string) {
			state, err := redisState(t, d, id)
			return err == nil && state == string(staging.Assigned), fmt.Sprint(state, err)
		})
	}
	repeat := func() {
		t.Helper()
		var l launchedList
		d.ask(t, "POST", "/v1/sessions", classOf("hangs", "east", "kept", 2), 201, &l, "Idempotency-Key", "kept")
		if len(l.ids()) != 2 || fates[l.ids()[0]].User.Name != "kept" || fates[l.ids()[1]].User.Name != "kept" {
			t.Errorf("the repeat is given %v of %v", l.ids(), fates)
		}
	}
	repeat()
	// Redis loses everything: the scaler restores both sessions and their key from the fates.
	rdb := redis.NewClient(&redis.Options{Addr: d.Redis})
	defer rdb.Close()
	must(t, rdb.FlushAll(t.Context()).Err())
	repeat()
	for id, f := range fates {
		if f.User.Name == "kept" {
			until(t, "Redis knows again whose "+id+" is", func() (bool, string) {
				state, err := redisState(t, d, id)
				return err == nil && state == string(staging.Assigned), fmt.Sprint(state, err)
			})
		}
	}
	repeat()
}

// redisState reads a session's state from Redis.
func redisState(t *testing.T, d *devProcess, id string) (string, error) {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: d.Redis})
	defer rdb.Close()
	return rdb.HGet(t.Context(), "greenroom:session:"+id, "state").Result()
}
