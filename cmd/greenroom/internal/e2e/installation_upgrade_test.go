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
	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/redisstore"
	"github.com/greenroom/greenroom/internal/staging"
)

// withoutInstallation registers a copy of a session's job as an older version would have
// registered it: under an id of its own, and without an installation. It returns the id.
func (d *devProcess) withoutInstallation(t *testing.T, session string) string {
	t.Helper()
	job, _, err := d.nomad(t).Jobs().Info(session, nil)
	must(t, err)
	b, err := json.Marshal(job)
	must(t, err)
	id := staging.NewSessionID()
	var old nomadapi.Job
	must(t, json.Unmarshal([]byte(strings.ReplaceAll(string(b), session, id)), &old))
	const meta = "greenroom_installation"
	if old.Meta[meta] == "" || old.TaskGroups[0].Services[0].Meta[meta] == "" {
		t.Fatalf("the job of session %s has no installation: %v", session, old.Meta)
	}
	delete(old.Meta, meta)
	delete(old.TaskGroups[0].Services[0].Meta, meta)
	_, _, err = d.nomad(t).Jobs().Register(&old, nil)
	must(t, err)
	until(t, "Nomad runs session "+id, func() (bool, string) {
		all, _, err := d.nomad(t).Jobs().Allocations(id, false, nil)
		return err == nil && len(all) == 1 && all[0].ClientStatus == nomadapi.AllocClientStatusRunning, fmt.Sprint(all, err)
	})
	return id
}

// The jobs of a version before installations had ids belong to the installation whose
// Consul or Redis has records of them. After the upgrade the used one is its user's, the
// ready one is given, and one without a record is neither given nor ended.
func TestAnUpgradeKeepsTheJobsWithoutAnInstallation(t *testing.T) {
	d := sharedDev(t)
	flags := []string{"--consul-prefix", "gr-u", "--redis-prefix", "gr-u"}
	before, scaler := second(t, d.servers(), flags...)
	before.keeps(t, "elders", 1)
	before.untilAPIReady(t, "elders", 1)
	model := d.jobsOf(t, "elders", before.installation(t).ID)[0]
	scaler.End(t, syscall.SIGKILL)
	before.agent.End(t, syscall.SIGKILL)

	used, ready, unknown := d.withoutInstallation(t, model), d.withoutInstallation(t, model), d.withoutInstallation(t, model)
	t.Cleanup(func() {
		for _, id := range []string{used, ready, unknown} {
			_, _, err := d.nomad(t).Jobs().Deregister(id, false, nil)
			must(t, err)
		}
	})
	fate, err := json.Marshal(staging.Fate{
		Session: used, Verdict: staging.VerdictAssigned, Zone: "east", User: &staging.User{ID: "u-alice", Name: "alice"}, Claim: staging.NewClaimID(), DecidedAt: time.Now(),
	})
	must(t, err)
	_, err = d.consul(t).KV().Put(&consulapi.KVPair{Key: "gr-u/fates/" + used, Value: fate}, nil)
	must(t, err)
	rdb := redis.NewClient(&redis.Options{Addr: d.Redis})
	t.Cleanup(func() { rdb.Close() })
	store := redisstore.New(rdb, redisstore.Options{Prefix: "gr-u:"})
	known, err := store.Session(t.Context(), model)
	must(t, err)
	known.ID, known.State, known.AllocID, known.CreatedAt = ready, staging.Starting, "", time.Now()
	_, err = store.Record(t.Context(), known)
	must(t, err)
	// The older version had stored no id anywhere.
	_, err = d.consul(t).KV().Delete("gr-u/installation", nil)
	must(t, err)
	must(t, rdb.Del(t.Context(), "gr-u:installation").Err())
	_, _, err = d.nomad(t).Jobs().Deregister(model, true, nil)
	must(t, err)

	after, scaler := second(t, d.servers(), flags...)
	if i := after.installation(t); !slices.Contains(i.Adopted, staging.NoInstallation) {
		t.Errorf("the upgraded installation is %+v", i)
	}
	until(t, "alice has her session", func() (bool, string) {
		var list struct{ Items []launched }
		after.ask(t, "GET", "/v1/sessions?user=u-alice", nil, 200, &list)
		return len(list.Items) == 1 && list.Items[0].ID == used && list.Items[0].State == "assigned", fmt.Sprintf("%+v", list)
	})
	after.untilAPIReady(t, "elders", 1)
	// Without Redis, no record says that the ready one has no user.
	until(t, "Redis is trusted in zone east", func() (bool, string) {
		var s struct {
			Zones []struct {
				Name    string
				Vouched bool
			}
		}
		after.ask(t, "GET", "/v1/status", nil, 200, &s)
		return len(s.Zones) == 1 && s.Zones[0].Vouched, fmt.Sprint(s)
	})
	var next launched
	after.ask(t, "POST", "/v1/sessions", launch("elders", "east", "bob"), 201, &next)
	if next.ID != ready || next.Origin != "staged" {
		t.Errorf("bob has session %s (%s); that of the older version is %s", next.ID, next.Origin, ready)
	}
	after.untilAPIReady(t, "elders", 1)
	after.keeps(t, "elders", 0)
	after.untilAPIReady(t, "elders", 0)
	scaler.End(t, syscall.SIGTERM)
	d.untouched(t, nil, []string{used, ready, unknown})
}
