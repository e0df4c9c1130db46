package upgrade

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	consulapi "github.com/hashicorp/consul/api"
	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
	"github.com/greenroom/greenroom/internal/staging"
)

const (
	pool    = "mock"
	desired = 6
)

// TestUpgradeAndBack: users launch without a pause while this build starts beside the last
// release, the last release ends, starts again beside this build, and this build ends. No session
// ends, no job is changed or replaced, whose each session is stays as it was, and each release
// reads what the other has stored.
func TestUpgradeAndBack(t *testing.T) {
	previous, current := previousRelease(t), agenttest.Program(t, "greenroom")
	before := start(t, previous)
	before.stores(t, pool, desired)
	before.UntilReady(t, pool, desired)
	load := launching(t, pool, before.API)
	load.more(t, before.API)
	seen := sessionsIn(t)

	// Up: side by side, then alone.
	now := start(t, current)
	load.at(before.API, now.API)
	load.more(t, before.API, now.API)
	now.showsVersions(t)
	now.storesOneOfEach(t)
	seen = seen.stillRun(t)
	before.ends(t)
	load.more(t, now.API)
	now.UntilReady(t, pool, desired)
	seen = seen.stillRun(t)
	for _, user := range load.of(before.API)[:3] {
		load.isAnsweredAgain(t, now, user)
	}

	// Down: the same.
	back := start(t, previous)
	load.at(now.API, back.API)
	load.more(t, now.API, back.API)
	seen = seen.stillRun(t)
	now.ends(t)
	load.more(t, back.API)
	back.UntilReady(t, pool, desired)
	seen = seen.stillRun(t)
	for _, user := range load.of(now.API)[:3] {
		load.isAnsweredAgain(t, back, user)
	}
	back.readsOneOfEach(t)

	// Up again: what the last release does not know it has left alone.
	again := start(t, current)
	again.readsOneOfEach(t)
	again.readsPauses(t)

	load.end()
	if len(load.failures) > 0 {
		t.Errorf("launches failed:\n%s", strings.Join(load.failures, "\n"))
	}
	load.ownTheirs(t)
	for _, r := range []release{before, now, back, again} {
		for _, complaint := range []string{"cannot read a stored record", "panic", "level=error"} {
			found := linesWith(r.broker.Log.String()+r.scaler.Log.String(), complaint)
			found = slices.DeleteFunc(found, func(line string) bool { return strings.Contains(line, unknownKind) })
			if len(found) > 0 {
				t.Errorf("the log of the agents at %s has %q:\n%s", r.URL, complaint, strings.Join(found, ""))
			}
		}
	}
	t.Logf("%d users were served: %d, %d and %d by the release before, this build, and the release before again; %d answers told to come again; %d sessions run",
		len(load.sessions), len(load.of(before.API)), len(load.of(now.API)), len(load.of(back.API)), load.refused, len(seen))
}

// unknownKind is what the last release says of a kind of resource that came after it.
const unknownKind = "(greenroom has no such kind of resource): nothing is changed that depends on it"

func linesWith(log, text string) (found []string) {
	for line := range strings.Lines(log) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

// ends ends the scaler and the broker of a release as Nomad does.
func (r release) ends(t *testing.T) {
	t.Helper()
	r.scaler.End(t, syscall.SIGTERM)
	r.broker.End(t, syscall.SIGTERM)
}

// showsVersions: the status has the brokers and scalers of both releases, and the version of this
// build's.
func (r release) showsVersions(t *testing.T) {
	t.Helper()
	agenttest.Until(t, "the status has two brokers and two scalers", func() (bool, string) {
		var status struct{ Agents []staging.Agent }
		answer := r.Ask(t, "GET", "/v1/status", nil, 200, &status)
		count := map[string]int{}
		for _, a := range status.Agents {
			count[a.Kind]++
			if a.Version != "" {
				count[a.Kind+" "+a.Address]++
			}
		}
		return count["broker"] == 2 && count["scaler"] == 2 && count["broker "+r.broker.Address] == 1 && count["scaler "+r.scaler.Address] == 1, string(answer.Body)
	})
}

// storesOneOfEach stores what an operator and users may change during an upgrade.
func (r release) storesOneOfEach(t *testing.T) {
	t.Helper()
	changed := zone()
	changed.SearchAlternateZones = true
	r.Ask(t, "PUT", "/v1/zones/east", changed, 200, nil)
	r.Ask(t, "PUT", "/v1/groups/students", staging.Group{Name: "students", Priority: 7}, 201, nil)
	r.Ask(t, "PUT", "/v1/staging/paused", fmt.Sprintf(`{"zone":"east","image":%q,"desired_sessions":0}`, pool), 201, nil)
	r.Ask(t, "POST", "/v1/pauses", `{"staging":"paused","reason":"works"}`, 201, nil)
	r.Ask(t, "POST", "/v1/locked-users", `{"user_id":"u-mallory","reason":"left"}`, 201, nil)
}

// readsOneOfEach: what storesOneOfEach stored is read, obeyed and replaced.
func (r release) readsOneOfEach(t *testing.T) {
	t.Helper()
	var changed staging.Zone
	if r.Ask(t, "GET", "/v1/zones/east", nil, 200, &changed); !changed.SearchAlternateZones {
		t.Errorf("the zone is read as %+v", changed)
	}
	changed.SearchAlternateZones = false
	r.Ask(t, "PUT", "/v1/zones/east", changed, 200, nil)
	changed.SearchAlternateZones = true
	r.Ask(t, "PUT", "/v1/zones/east", changed, 200, nil)
	var group staging.Group
	if r.Ask(t, "GET", "/v1/groups/students", nil, 200, &group); group.Priority != 7 {
		t.Errorf("the group is read as %+v", group)
	}
	r.Ask(t, "POST", "/v1/sessions", body(pool, "u-mallory"), 403, nil)
}

// readsPauses: the pause, of which the last release may know nothing, is as it was stored.
func (r release) readsPauses(t *testing.T) {
	t.Helper()
	if answer := r.Ask(t, "GET", "/v1/pauses", nil, 200, nil); !strings.Contains(string(answer.Body), `"works"`) {
		t.Errorf("the pauses are read as %s", answer.Body)
	}
	if answer := r.Ask(t, "GET", "/v1/status", nil, 200, nil); strings.Contains(string(answer.Body), "cannot be read") {
		t.Errorf("the status is %s", answer.Body)
	}
}

// isAnsweredAgain: a repeat of a launch at another release is answered with the same session.
func (l *launches) isAnsweredAgain(t *testing.T, r release, user string) {
	t.Helper()
	l.mu.Lock()
	want := l.sessions[user]
	l.mu.Unlock()
	agenttest.Until(t, "a repeat is answered with the user's session, which is up", func() (bool, string) {
		answer, err := r.Call("POST", "/v1/sessions", body(pool, user), "Idempotency-Key", user)
		var s struct{ ID, State string }
		if err != nil || json.Unmarshal(answer.Body, &s) != nil || s.ID != want {
			t.Fatalf("user %s has session %s; the broker at %s answers a repeat with %d %s, %v", user, want, r.URL, answer.Status, answer.Body, err)
		}
		return s.State == string(staging.Assigned), string(answer.Body)
	})
}

// ownTheirs: Consul has every user as the owner of the user's session, and no session two users.
func (l *launches) ownTheirs(t *testing.T) {
	t.Helper()
	client, err := consulapi.NewClient(&consulapi.Config{Address: servers.Cluster(t).ConsulAddr})
	agenttest.Must(t, err)
	pairs, _, err := client.KV().List("greenroom/fates/", nil)
	agenttest.Must(t, err)
	owner, versions := map[string]string{}, map[bool]int{}
	for _, p := range pairs {
		var f staging.Fate
		agenttest.Must(t, json.Unmarshal(p.Value, &f))
		if f.Verdict != staging.VerdictAssigned || f.HookPending || f.Reason != "" {
			t.Errorf("the fate of session %s: %s", f.Session, p.Value)
			continue
		}
		owner[f.Session] = f.User.ID
		versions[strings.HasPrefix(string(p.Value), `{"schema_version":1,`)]++
	}
	if versions[true] == 0 || versions[false] == 0 {
		t.Errorf("fates with and without their layout's version, which the last release does not write: %v; want some of each", versions)
	}
	for user, session := range l.sessions {
		if owner[session] != user {
			t.Errorf("session %s was given to %s, and Consul has %q as its owner", session, user, owner[session])
		}
		delete(owner, session)
	}
	if len(owner) > 0 {
		t.Errorf("Consul has sessions of users whom no broker has served: %v", owner)
	}
}

// jobs are the sessions' jobs in Nomad by id, and how each runs.
type jobs map[string]running

// running is what must not change of a session: another allocation, or another version of its
// job, is another session.
type running struct {
	Version    uint64
	Alloc      string
	CreateTime int64
}

// sessionsIn reads the sessions that Nomad runs.
func sessionsIn(t *testing.T) jobs {
	t.Helper()
	allocs, _, err := nomadOf(t).Allocations().List(nil)
	agenttest.Must(t, err)
	all := jobs{}
	for _, a := range allocs {
		if !strings.HasPrefix(a.JobID, staging.SessionPrefix) {
			continue
		}
		if other, twice := all[a.JobID]; twice {
			t.Errorf("session %s has two allocations, %s and %s", a.JobID, other.Alloc, a.ID)
		}
		if a.ClientStatus == nomadapi.AllocClientStatusRunning && a.DesiredStatus == nomadapi.AllocDesiredStatusRun {
			all[a.JobID] = running{Version: a.JobVersion, Alloc: a.ID, CreateTime: a.CreateTime}
		}
	}
	return all
}

// stillRun returns the sessions that run now; all those that ran before are among them. Nobody ends
// one in this test, so that is true of pools' sessions, too.
func (before jobs) stillRun(t *testing.T) jobs {
	t.Helper()
	now := sessionsIn(t)
	for id := range before {
		if now[id] != before[id] {
			t.Errorf("session %s ran as %+v, and runs as %+v", id, before[id], now[id])
		}
	}
	return now
}
