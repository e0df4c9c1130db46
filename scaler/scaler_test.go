package scaler_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	"github.com/redis/go-redis/v9"
	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/consulhealth"
	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
	"github.com/greenroom/greenroom/internal/nomadfleet"
	"github.com/greenroom/greenroom/internal/redisstore"
	"github.com/greenroom/greenroom/internal/registry"
	"github.com/greenroom/greenroom/internal/sessioncatalog"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
	"github.com/greenroom/greenroom/scaler"
)

var servers = devtest.Share(devcluster.Options{Datacenters: []string{"dc1"}})

func TestMain(m *testing.M) { os.Exit(servers.Around(m).Run()) }

// rig is one scaler on the shared servers, with a zone and a mock image.
type rig struct {
	registry *registry.Registry
	store    *redisstore.Store
	fleet    *nomadfleet.Fleet
	consul   *consulapi.Client
	stop     func()
}

type noMeter struct{}

func (noMeter) Step(scaler.Kind, bool)                           {}
func (noMeter) Pool(string, staging.PoolStatus, staging.Fill)    {}
func (noMeter) PoolGone(string)                                  {}
func (noMeter) Conditions(string, []staging.Condition)           {}
func (noMeter) Quarantined(int)                                  {}
func (noMeter) UnreadableFates(int)                              {}
func (noMeter) UnreadableResources(map[staging.ResourceKind]int) {}
func (noMeter) HookFailed(staging.HookName)                      {}
func (noMeter) Denied(map[string]int)                            {}
func (noMeter) WaitingForRoom(map[string]int)                    {}
func (noMeter) Zones(_, _ map[string]bool)                       {}

func newRig(t *testing.T) *rig {
	t.Helper()
	c := servers.Cluster(t)
	consul, err := consulapi.NewClient(&consulapi.Config{Address: c.ConsulAddr})
	must(t, err)
	fleet, err := nomadfleet.Open(nomadfleet.Settings{Address: c.NomadAddr}, nomadfleet.Options{})
	must(t, err)
	rdb := redis.NewClient(&redis.Options{Addr: c.RedisAddr})
	t.Cleanup(func() { rdb.Close() })
	r := &rig{registry: registry.New(consul, ""), store: redisstore.New(rdb, redisstore.Options{}), fleet: fleet, consul: consul}
	_, err = r.registry.PutZone(t.Context(), staging.Zone{
		Name: "east", Datacenters: []string{"dc1"}, AllowOriginDomain: "127.0.0.1", UpstreamAuthAddress: "127.0.0.1",
	})
	must(t, err)
	_, err = r.registry.PutImage(t.Context(), staging.Image{Name: "mock", Jobspec: jobspecs.DemoMock})
	must(t, err)

	log := logrus.New()
	log.SetLevel(logrus.DebugLevel)
	log.SetOutput(t.Output())
	locks := r.registry.NewLocks(consul, strings.ReplaceAll(t.Name(), "/", "-"))
	catalog := sessioncatalog.New(consul, sessioncatalog.DefaultNames())
	s := scaler.New(scaler.Parts{
		Registry: r.registry, SessionStore: r.store, AssignedStore: r.store, RoomStore: r.store, QueueStore: r.store, QuarantineStore: r.store, TrustStore: r.store, EventStore: r.store, Fleet: fleet, Health: consulhealth.New(consul), Locks: locks,
		Catalog: catalog, Meter: noMeter{}, Log: logrus.NewEntry(log),
	}, scaler.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		var wg sync.WaitGroup
		wg.Go(func() { locks.Run(ctx, func(err error) { t.Log(err) }) })
		wg.Go(func() { catalog.Run(ctx, func(err error) { t.Log(err) }) })
		s.Run(ctx)
		wg.Wait()
		close(done)
	}()
	r.stop = func() { cancel(); <-done }
	t.Cleanup(r.stop)
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// until waits for a condition. If it fails, it reports what was last seen.
func until(t *testing.T, what string, look func() (ok bool, saw string)) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		ok, saw := look()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute; last seen: %s", what, saw)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// running returns the pool's sessions that Nomad reports running and not being stopped.
func (r *rig) running(t *testing.T, pool string) (ids []string) {
	t.Helper()
	all, err := r.fleet.List(t.Context())
	must(t, err)
	for _, o := range all {
		if o.Job != nil && o.Job.Session.Staging == pool && !o.Job.Stopped && o.Alloc != nil && o.Alloc.Running {
			ids = append(ids, o.Session)
		}
	}
	return ids
}

func (r *rig) untilReady(t *testing.T, pool string, n int) {
	t.Helper()
	until(t, fmt.Sprintf("%d ready in %s", n, pool), func() (bool, string) {
		_, ready, err := r.store.Counts(t.Context(), pool)
		must(t, err)
		running := r.running(t, pool)
		return ready[pool] == n && len(running) >= n, fmt.Sprintf("%d ready in Redis, %d running in Nomad", ready[pool], len(running))
	})
}

// untilShown waits until Consul's catalog shows a session's user alone, with a check that
// passes.
func (r *rig) untilShown(t *testing.T, session, user string) {
	t.Helper()
	until(t, "Consul shows whose "+session+" is", func() (bool, string) {
		entries, _, err := r.consul.Health().Service(staging.SessionsService, "user="+user, true, nil)
		must(t, err)
		return len(entries) == 1 && entries[0].Service.ID == session && len(entries[0].Checks) == 1, fmt.Sprint(len(entries))
	})
}

func TestAPoolIsFilledRefilledShrunkAndDrained(t *testing.T) {
	r, ctx := newRig(t), t.Context()
	config := staging.Config{Name: "fill", Zone: "east", Image: "mock", DesiredSessions: 3}
	_, err := r.registry.PutConfig(ctx, config)
	must(t, err)
	r.untilReady(t, "fill", 3)

	var claimed staging.ClaimResult
	until(t, "the scaler renews trust in the zone, and a session is claimed", func() (bool, string) {
		claimed, err = r.store.Claim(ctx, []staging.Config{config}, 1, staging.Claim{
			ID: "c", Image: "mock", Zone: "east", Permits: staging.Permissions{}.Permits(), User: staging.User{ID: "u"},
		})
		must(t, err)
		return claimed.Outcome == staging.ClaimTaken, string(claimed.Outcome)
	})
	_, _, err = r.registry.CreateFate(ctx, staging.Fate{Session: claimed.Sessions[0].ID, Verdict: staging.VerdictAssigned, Claim: "c"})
	must(t, err)
	r.untilReady(t, "fill", 3)
	if n := len(r.running(t, "fill")); n != 4 {
		t.Errorf("%d sessions run after a claim from 3, want 4", n)
	}

	_, err = r.store.Assign(ctx, claimed.Sessions[0])
	must(t, err)
	r.untilShown(t, claimed.Sessions[0].ID, "u")
	_, err = r.consul.Catalog().Deregister(&consulapi.CatalogDeregistration{Node: staging.SessionsService, ServiceID: claimed.Sessions[0].ID}, nil)
	must(t, err)
	r.untilShown(t, claimed.Sessions[0].ID, "u")

	config.DesiredSessions = 1
	_, err = r.registry.PutConfig(ctx, config)
	must(t, err)
	until(t, "1 ready and the claimed session left", func() (bool, string) {
		running := r.running(t, "fill")
		return len(running) == 2, fmt.Sprint(running)
	})

	_, err = r.registry.DeleteConfig(ctx, "fill")
	must(t, err)
	until(t, "drained except for the claimed session", func() (bool, string) {
		running := r.running(t, "fill")
		return len(running) == 1 && running[0] == claimed.Sessions[0].ID, fmt.Sprint(running)
	})
}
