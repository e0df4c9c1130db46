package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

func (d *devProcess) nomad(t *testing.T) *nomadapi.Client {
	t.Helper()
	c, err := nomadapi.NewClient(&nomadapi.Config{Address: d.Nomad})
	must(t, err)
	return c
}

func (d *devProcess) consul(t *testing.T) *consulapi.Client {
	t.Helper()
	c, err := consulapi.NewClient(&consulapi.Config{Address: d.Consul})
	must(t, err)
	return c
}

// job is a session's job in Nomad.
type job struct {
	id, staging, origin string
	submitted           time.Time
}

// jobs returns the image's jobs that Nomad runs or will run.
func (d *devProcess) jobs(t *testing.T, image string) []job {
	t.Helper()
	list, _, err := d.nomad(t).Jobs().ListOptions(&nomadapi.JobListOptions{Fields: &nomadapi.JobListFields{Meta: true}},
		&nomadapi.QueryOptions{Prefix: staging.SessionPrefix})
	must(t, err)
	var out []job
	for _, j := range list {
		if j.Meta["greenroom_image"] == image && !j.Stop && j.Status != "dead" {
			out = append(out, job{j.ID, j.Meta["greenroom_staging"], j.Meta["greenroom_origin"], time.Unix(0, j.SubmitTime)})
		}
	}
	slices.SortFunc(out, func(a, b job) int { return strings.Compare(a.id, b.id) })
	return out
}

// passing returns the pool's sessions that pass their checks in Consul.
func (d *devProcess) passing(t *testing.T, pool string) []string {
	t.Helper()
	entries, _, err := d.consul(t).Health().Service(staging.PoolService(pool), "", true, nil)
	must(t, err)
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.Service.Meta["greenroom_session"])
	}
	slices.Sort(ids)
	return ids
}

// noted returns the events of a type that Redis holds, newest last.
func (d *devProcess) noted(t *testing.T, kind staging.EventType) []map[string]any {
	t.Helper()
	var found []map[string]any
	for _, e := range d.events(t) {
		if e["type"] == string(kind) {
			found = append(found, e)
		}
	}
	return found
}

// events returns all events that Redis holds, newest last.
func (d *devProcess) events(t *testing.T) (all []map[string]any) {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: strings.TrimPrefix(d.Redis, "redis://")})
	defer rdb.Close()
	found, err := rdb.XRange(t.Context(), "greenroom:events", "-", "+").Result()
	must(t, err)
	for _, m := range found {
		m.Values["id"] = m.ID
		all = append(all, m.Values)
	}
	return all
}

// scalerMetric reads a metric of the shared scaler; 0 if there is none of that name.
func (d *devProcess) scalerMetric(t *testing.T, name string) (value float64) {
	t.Helper()
	return metric(t, d.scaler(t), name)
}

// scaler returns the URL of the shared scaler, from its log.
func (d *devProcess) scaler(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(d.dir(t), "greenroom", "scaler.log"))
	must(t, err)
	_, rest, _ := strings.Cut(string(b), "address=\"")
	address, _, _ := strings.Cut(rest, "\"")
	return "http://" + address
}

// metric reads a metric of an agent; the name includes the labels. It returns 0 if there is
// none of that name.
func metric(t *testing.T, agent, name string) (value float64) {
	t.Helper()
	for line := range strings.Lines(get(t, agent+"/metrics")) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			_, err := fmt.Sscan(rest, &value)
			must(t, err)
		}
	}
	return value
}

// alloc returns the first allocation of a session's job, which is the session.
func (d *devProcess) alloc(t *testing.T, session string) *nomadapi.AllocationListStub {
	t.Helper()
	all, _, err := d.nomad(t).Jobs().Allocations(session, true, nil)
	must(t, err)
	var first *nomadapi.AllocationListStub
	for _, a := range all {
		if first == nil || a.CreateIndex < first.CreateIndex {
			first = a
		}
	}
	if first == nil {
		t.Fatalf("session %s has no allocation", session)
	}
	return first
}
