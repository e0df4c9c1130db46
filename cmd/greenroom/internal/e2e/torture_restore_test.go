package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// Consul is restored from a snapshot: fate records, locks and settings are those of a while
// ago.

// copyConsul returns a snapshot of Consul.
func (d *devProcess) copyConsul(t *testing.T) []byte {
	t.Helper()
	saved, _, err := d.consul(t).Snapshot().Save(nil)
	must(t, err)
	defer saved.Close()
	snapshot, err := io.ReadAll(saved)
	must(t, err)
	return snapshot
}

// restoreConsul restores Consul from a snapshot.
func (d *devProcess) restoreConsul(t *testing.T, snapshot []byte) {
	t.Helper()
	must(t, d.consul(t).Snapshot().Restore(nil, bytes.NewReader(snapshot)))
}

// consulRestored restores Consul as it was at the last restore, or at the start, and ends
// when a fault in Redis costs nobody a session again: every user's session has its fate
// record.
func (n *nemesis) consulRestored() {
	n.a.d.restoreConsul(n.a.T, n.snapshot)
	n.settingsBack()
	n.a.fatesRewritten()
	n.takeSnapshot()
}

func (n *nemesis) takeSnapshot() {
	n.snapshot = n.a.d.copyConsul(n.a.T)
	var g staging.Generation
	must(n.a.T, json.Unmarshal([]byte(n.a.d.key(n.a.T, "greenroom/generation")), &g))
	n.snapshotGeneration = g.Current
}

// newestGeneration returns the latest generation of all sessions in Nomad.
func (a *arena) newestGeneration() (newest uint64) {
	a.Helper()
	jobs, _, err := a.d.nomad(a.T).Jobs().ListOptions(&nomadapi.JobListOptions{Fields: &nomadapi.JobListFields{Meta: true}}, &nomadapi.QueryOptions{Prefix: staging.SessionPrefix})
	must(a.T, err)
	for _, j := range jobs {
		generation, _ := strconv.ParseUint(j.Meta["greenroom_generation"], 10, 64)
		newest = max(newest, generation)
	}
	return newest
}

// stagedSince waits until sessions of a later generation run: without one nothing shows that
// Consul was restored.
func (a *arena) stagedSince(generation uint64) {
	a.Helper()
	until(a.T, "sessions were staged since the snapshot", func() (bool, string) {
		newest := a.newestGeneration()
		return newest > generation, fmt.Sprintf("%d, and the snapshot's is %d", newest, generation)
	})
}

// settingsBack stores again what the nemesis has changed since the snapshot.
func (n *nemesis) settingsBack() {
	n.a.put("/v1/images/torture", n.imageNow())
	n.a.resize(n.desired)
}

// fatesRewritten waits until every session that is assigned in Redis has its fate record.
func (a *arena) fatesRewritten() {
	a.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: a.d.Redis})
	defer rdb.Close()
	until(a.T, "every user's session has its fate record again", func() (bool, string) {
		keys, _, err := a.d.consul(a.T).KV().Keys("greenroom/fates/", "", nil)
		must(a.T, err)
		ids, err := rdb.ZRange(a.Context(), "greenroom:sessions", 0, -1).Result()
		must(a.T, err)
		var lost []string
		for _, id := range ids {
			state, err := rdb.HGet(a.Context(), "greenroom:session:"+id, "state").Result()
			if err == nil && state == string(staging.Assigned) && !slices.Contains(keys, "greenroom/fates/"+id) {
				lost = append(lost, id)
			}
		}
		return len(lost) == 0, fmt.Sprint(lost)
	})
}

// restoredKind is the fault after which Redis alone knows what happened since a snapshot of
// Consul.
const restoredKind = "consul restored"

// bothRestoredKind is the fault after which no record tells of some users' sessions.
const bothRestoredKind = "consul restored and redis wiped"

// bothRestored leaves only Nomad to tell of the sessions since the snapshot. Each of them must
// go on, and nobody else may get it: it is quarantined.
func (n *nemesis) bothRestored(time.Duration) {
	n.a.stagedSince(n.snapshotGeneration)
	n.a.rest.Lock()
	for _, s := range n.a.scalers {
		s.kill()
	}
	must(n.a.T, n.a.d.wipeRedis(n.a.T))
	n.a.d.restoreConsul(n.a.T, n.snapshot)
	n.a.rest.Unlock()
	for _, s := range n.a.scalers {
		s.start()
	}
	n.settingsBack()
	n.a.fatesRewritten()
	n.takeSnapshot()
}

// forgot reports whether faults between two times have lost the Idempotency-Keys of the first:
// those of since the snapshot are in Redis alone once Consul was restored, and then Redis
// failed, too.
func forgot(faults []fault, from, to time.Time) bool {
	return slices.ContainsFunc(faults, func(f fault) bool {
		if !from.Before(f.at) || !to.After(f.began) {
			return false
		}
		return f.kind == bothRestoredKind || f.kind == restoredKind && slices.ContainsFunc(faults, func(g fault) bool {
			return strings.HasPrefix(g.kind, "redis") && g.at.After(f.began) && to.After(g.began)
		})
	})
}

// quarantined reports whether an answer about a session is that it is quarantined.
func quarantined(reply []byte) bool {
	return strings.Contains(string(reply), string(staging.Quarantined))
}

// endQuarantined ends all quarantined sessions, as an administrator does, and returns how
// many there were.
func (a *arena) endQuarantined() (ended int) {
	a.Helper()
	until(a.T, "the quarantined sessions are ended", func() (bool, string) {
		r, err := a.d.call("GET", "/v1/sessions?state=quarantined&limit=500", "")
		var list struct{ Items []struct{ ID string } }
		if err != nil || r.status != http.StatusOK || json.Unmarshal(r.body, &list) != nil {
			return false, fmt.Sprint(r.status, " ", string(r.body), err)
		}
		for _, s := range list.Items {
			if r, err := a.d.call("DELETE", "/v1/sessions/"+s.ID, ""); err == nil && r.status == http.StatusNoContent {
				ended++
			}
		}
		return len(list.Items) == 0, fmt.Sprint(list)
	})
	return ended
}
