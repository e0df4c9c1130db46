package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"

	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
)

// putKey stores a value in Consul as an operator does in its UI.
func (d *devProcess) putKey(t *testing.T, key, value string) {
	t.Helper()
	_, err := d.consul(t).KV().Put(&consulapi.KVPair{Key: key, Value: []byte(value)}, nil)
	must(t, err)
}

// key returns what Consul stores under a key.
func (d *devProcess) key(t *testing.T, key string) string {
	t.Helper()
	pair, _, err := d.consul(t).KV().Get(key, nil)
	must(t, err)
	if pair == nil {
		t.Fatalf("Consul has no key %s", key)
	}
	return string(pair.Value)
}

func (d *devProcess) deleteKey(t *testing.T, key string) {
	t.Helper()
	_, err := d.consul(t).KV().Delete(key, nil)
	must(t, err)
}

// edited returns JSON with one field set to another value.
func edited(t *testing.T, value, field string, to any) string {
	t.Helper()
	var fields map[string]any
	must(t, json.Unmarshal([]byte(value), &fields))
	fields[field] = to
	return jsonText(fields)
}

// untilReason waits until GET /v1/status is not ok and has a reason that contains all of
// the texts; with want false, until it has none.
func (d *devProcess) untilReason(t *testing.T, want bool, texts ...string) {
	t.Helper()
	until(t, fmt.Sprintf("a reason of the status with %q: %v", texts, want), func() (bool, string) {
		var s struct {
			Status  string
			Reasons []string
		}
		d.ask(t, "GET", "/v1/status", nil, 200, &s)
		found := slices.ContainsFunc(s.Reasons, func(r string) bool {
			return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(r, text) })
		})
		return found == want && (!want || s.Status != "ok"), fmt.Sprintf("%+v", s)
	})
}

// TestATypoInConsulChangesNothing: a resource that an operator breaks in Consul's UI keeps
// its last readable value, in the scaler and in brokers. The status and the conditions of
// the pools that it concerns say so.
func TestATypoInConsulChangesNothing(t *testing.T) {
	const resources = "greenroom/resources/"
	d := sharedDev(t)
	d.stage(t, quickImage("typo"), 2)
	d.group(t, staging.Group{Name: "typists", Priority: 1, SessionTimeLimit: staging.Duration(time.Hour)})
	d.untilReady(t, "typo", 2)
	before := d.jobs(t, "typo")
	config, image, group := d.key(t, resources+"staging/typo"), d.key(t, resources+"images/typo"), d.key(t, resources+"groups/typists")
	restore := func() {
		d.putKey(t, resources+"staging/typo", config)
		d.putKey(t, resources+"images/typo", image)
		d.putKey(t, resources+"groups/typists", group)
		for _, key := range []string{"staging/copied", "staging/sub/typo", "staging/", "configs/", "nothing/x"} {
			d.deleteKey(t, resources+key)
		}
	}
	t.Cleanup(restore)

	for _, broken := range []struct{ key, value, reason string }{
		{"staging/typo", edited(t, config, "desired_sessions", "5"), "desired_sessions: must not be a JSON string"},
		{"staging/typo", strings.Replace(config, "desired_sessions", "desired_session", 1), "desired_sessions: must be there"},
		{"staging/typo", edited(t, config, "desired_sessions", -1), "desired_sessions: must be between"},
		{"staging/typo", edited(t, config, "expiration", "a day"), "expiration: must be a duration"},
		{"staging/typo", "", "it is empty"},
		{"staging/copied", edited(t, config, "desired_sessions", 17), `name: the value is that of "typo", and the key that of "copied"`},
		{"staging/sub/typo", config, `the key that of "sub/typo"`},
		{"images/typo", edited(t, image, "jobspec", 5), "jobspec: must not be a JSON number"},
		{"groups/typists", edited(t, group, "session_time_limit", "1ns"), "session_time_limit: must be at least 1s"},
		{"nothing/x", "{}", "no such kind of resource"},
		// Consul's UI makes such keys for folders.
		{"staging/", "", ""},
		{"configs/", "", ""},
	} {
		d.putKey(t, resources+broken.key, broken.value)
		if broken.reason != "" {
			d.untilReason(t, true, resources+broken.key+" in Consul cannot be read", broken.reason)
		}
	}
	d.untilReason(t, false, "configs/")
	d.untilCondition(t, "typo", staging.ConfigUnreadable, resources+"staging/typo in Consul cannot be read (it is empty)")
	d.untilCondition(t, "typo", staging.ConfigUnreadable, resources+"images/typo in Consul cannot be read (jobspec")
	if after := d.jobs(t, "typo"); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the pool was %v and is %v", before, after)
	}

	// Launches and refills go on with the last readable values.
	body := launch("typo", "east", "alice")
	body["groups"] = []string{"typists"}
	var l struct {
		launched
		EndsAt time.Time `json:"ends_at"`
	}
	d.ask(t, "POST", "/v1/sessions", body, 201, &l)
	if l.Origin != "staged" || l.EndsAt.IsZero() {
		t.Errorf("a launch while its resources cannot be read: %+v", l)
	}
	until(t, "the pool is as large as before", func() (bool, string) {
		jobs := d.jobs(t, "typo")
		return len(jobs) == 3, fmt.Sprint(jobs)
	})

	restore()
	d.untilReason(t, false, resources)
	d.untilReady(t, "typo", 2)
}

// TestWhatWasNeverReadIsNotTakenForAbsent: agents that start while resources cannot be read
// know no value of theirs. They end, stage and give away nothing that depends on them.
func TestWhatWasNeverReadIsNotTakenForAbsent(t *testing.T) {
	const resources = "greenroom/resources/"
	c, d := startCluster(t, 3)
	s := startAgent(t, c, "scaler")
	d.untilReady(t, "mock", 3)
	before := d.jobs(t, "mock")
	stored := map[string]string{}
	for _, key := range []string{"staging/mock", "images/mock", "zones/east"} {
		stored[key] = d.key(t, resources+key)
	}
	for key, value := range stored {
		s.End(t, syscall.SIGTERM)
		d.putKey(t, resources+key, `{"name":5}`)
		s = startAgent(t, c, "scaler")
		fresh := &devProcess{readyFile: d.readyFile}
		b := startAgent(t, c, "broker")
		fresh.Broker = "http://" + b.Address
		fresh.untilReason(t, true, resources+key, "nothing is changed that depends on it")
		until(t, "the scaler acts and says so", func() (bool, string) {
			log := s.Log.String()
			return strings.Contains(log, "this scaler acts in the zone now") && strings.Contains(log, "cannot read a stored record"), log
		})
		if key != "staging/mock" {
			r, err := fresh.call("POST", "/v1/sessions", jsonText(launch("mock", "east", "bob")))
			must(t, err)
			if r.status != 503 || !strings.Contains(string(r.body), "resource_unreadable") {
				t.Errorf("%s: a launch was answered %d %s", key, r.status, r.body)
			}
		}
		if after := d.jobs(t, "mock"); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("%s: the pool was %v and is %v", key, before, after)
		}
		d.putKey(t, resources+key, value)
		d.untilReason(t, false, resources+key)
		d.untilReady(t, "mock", 3)
		b.End(t, syscall.SIGTERM)
	}

	// To delete a record for good still drains the pool.
	d.putKey(t, resources+"staging/mock", "{")
	d.untilReason(t, true, resources+"staging/mock")
	d.deleteKey(t, resources+"staging/mock")
	until(t, "the pool is drained", func() (bool, string) {
		jobs := d.jobs(t, "mock")
		return len(jobs) == 0, fmt.Sprint(jobs)
	})
}

// TestAnOldRedisAfterARestoreOfConsulGivesNobodysSessionAway: Consul has lost the fate record of a
// user's session, and Redis is put back as it was seconds before the launch: the session is ready
// there, and a scaler trusted what it held.
func TestAnOldRedisAfterARestoreOfConsulGivesNobodysSessionAway(t *testing.T) {
	c, d := startCluster(t, 3)
	s := startAgent(t, c, "scaler")
	d.untilReady(t, "mock", 3)
	snapshot, redisBack := d.copyConsul(t), d.copyRedis(t)
	alice := d.launched(t, "mock", "alice")
	d.untilReady(t, "mock", 3)
	s.End(t, syscall.SIGKILL)
	must(t, d.wipeRedis(t))
	d.restoreConsul(t, snapshot)
	s = startAgent(t, c, "scaler")
	d.untilState(t, alice.ID, "quarantined")
	d.untilReady(t, "mock", 3)
	s.End(t, syscall.SIGKILL)

	redisBack()
	d.trustNow(t, "east")
	if state, err := d.redisClient(t).HGet(t.Context(), "greenroom:session:"+alice.ID, "state").Result(); err != nil || state != "ready" {
		t.Fatalf("the old Redis has alice's session as %q, %v", state, err)
	}
	for _, user := range []string{"bob", "carol", "dave", "erin"} {
		if l := d.launched(t, "mock", user); l.ID == alice.ID {
			t.Errorf("alice's session was given to %s: %+v", user, l)
		}
	}
	// Its next scaler quarantines the session again, and trusts Redis.
	startAgent(t, c, "scaler")
	d.untilState(t, alice.ID, "quarantined")
	d.untilReady(t, "mock", 3)
	if l := d.launched(t, "mock", "frank"); l.Origin != "staged" || l.ID == alice.ID {
		t.Errorf("once a scaler has read all again, a launch got %+v", l)
	}
}

// TestARestoredConsulGivesNobodysSessionAway: Consul is restored from a snapshot from before
// two launches, Redis is lost, and the scaler was killed. Then the same with Redis intact.
// Before that, a fate record that cannot be read concerns its session alone.
func TestARestoredConsulGivesNobodysSessionAway(t *testing.T) {
	c, d := startCluster(t, 3)
	d.ask(t, "PUT", "/v1/images/single", staging.Image{Name: "single", Jobspec: jobspecs.DemoMock}, 201, nil)
	s := startAgent(t, c, "scaler")
	d.untilReady(t, "mock", 3)

	// Junk among the fates.
	junk := d.jobs(t, "mock")[0].id
	d.putKey(t, "greenroom/fates/"+junk, `{"session":"`+junk+`","verdict":5}`)
	d.putKey(t, "greenroom/fates/", "")
	d.putKey(t, "greenroom/fates/no-session", "junk")
	d.putKey(t, "greenroom/locks/", "")
	d.putKey(t, "greenroom/tokens/x", "junk")
	// The oldest is claimed first: its launch goes on to the next.
	l1 := d.launched(t, "mock", "alice")
	if l1.ID == junk || l1.Origin != "staged" {
		t.Errorf("%+v; the session with the junk is %s", l1, junk)
	}
	s.End(t, syscall.SIGKILL)
	s = startAgent(t, c, "scaler")
	d.untilReady(t, "mock", 3)
	d.untilState(t, junk, "quarantined")
	d.untilCondition(t, "mock", staging.SessionQuarantined, junk+" (greenroom/fates/"+junk+" in Consul cannot be read (verdict: must not be a JSON number)")
	d.ask(t, "DELETE", "/v1/sessions/"+junk, nil, 204, nil)
	until(t, "an administrator's word ends it", func() (bool, string) {
		jobs := d.jobs(t, "mock")
		return len(jobs) == 4, fmt.Sprint(jobs)
	})

	snapshot := d.copyConsul(t)
	generation := d.key(t, "greenroom/generation")
	l2, l3 := d.launched(t, "mock", "bob"), d.launched(t, "single", "carol")
	d.untilReady(t, "mock", 3)
	if l2.Origin != "staged" || l3.Origin != "on_demand" || d.key(t, "greenroom/generation") == generation {
		t.Fatalf("%+v %+v generation %s", l2, l3, generation)
	}
	before := d.jobs(t, "mock")

	s.End(t, syscall.SIGKILL)
	must(t, d.wipeRedis(t))
	d.restoreConsul(t, snapshot)
	if now := d.key(t, "greenroom/generation"); now != generation {
		t.Fatalf("after the restore Consul has %s", now)
	}
	// Without a scaler, a broker does not take the users' sessions for unused either.
	until(t, "Consul shows the sessions again", func() (bool, string) {
		ids := d.passing(t, "mock")
		return !slices.ContainsFunc(before, func(j job) bool { return !slices.Contains(ids, j.id) }), fmt.Sprint(ids)
	})
	if l := d.launched(t, "mock", "dave"); l.Origin != "on_demand" {
		t.Errorf("without a scaler a launch was served %+v", l)
	}
	s = startAgent(t, c, "scaler")
	d.untilState(t, l1.ID, "assigned")
	for _, id := range []string{l2.ID, l3.ID} {
		d.untilState(t, id, "quarantined")
	}
	d.untilReady(t, "mock", 3)
	d.untilCondition(t, "mock", staging.SessionQuarantined, "4 sessions in quarantine")
	running := map[string]bool{}
	for _, j := range append(d.jobs(t, "mock"), d.jobs(t, "single")...) {
		running[j.id] = true
	}
	for _, j := range before {
		if !running[j.id] {
			t.Errorf("session %s was ended", j.id)
		}
	}
	if l := d.launched(t, "mock", "eve"); !running[l3.ID] || l.Origin != "staged" || slices.ContainsFunc(before, func(j job) bool { return j.id == l.ID }) {
		t.Errorf("after the restore a launch got %+v", l)
	}
	d.ask(t, "DELETE", "/v1/sessions/"+l2.ID, nil, 204, nil)

	// Redis is intact: the session stays its user's, and gets its fate record again.
	frank := d.launched(t, "mock", "frank")
	d.untilReady(t, "mock", 3)
	s.End(t, syscall.SIGTERM)
	d.restoreConsul(t, snapshot)
	startAgent(t, c, "scaler")
	until(t, "the fate record of frank's session is written again", func() (bool, string) {
		pair, _, err := d.consul(t).KV().Get("greenroom/fates/"+frank.ID, nil)
		must(t, err)
		return pair != nil && strings.Contains(string(pair.Value), `"u-frank"`) && strings.Contains(string(pair.Value), `"assigned"`), fmt.Sprint(pair)
	})
	if now := d.session(t, frank.ID); now.State != "assigned" {
		t.Errorf("frank's session is %s", now.State)
	}
	d.untilReady(t, "mock", 3)
}

// launched launches a session in zone east.
func (d *devProcess) launched(t *testing.T, image, user string) launched {
	t.Helper()
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch(image, "east", user), 201, &l)
	return l
}

// untilState waits until a session has a state.
func (d *devProcess) untilState(t *testing.T, id, state string) {
	t.Helper()
	until(t, "session "+id+" is "+state, func() (bool, string) {
		r, err := d.call("GET", "/v1/sessions/"+id, "")
		must(t, err)
		return r.status == 200 && strings.Contains(string(r.body), `"state":"`+state+`"`), string(r.body)
	})
}
