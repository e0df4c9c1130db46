package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/greenroom/greenroom/internal/benchreport"
	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/nomadfleet"
	"github.com/greenroom/greenroom/internal/redisstore"
	"github.com/greenroom/greenroom/internal/registry"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
)

const (
	// manySessions have jobs that no node takes, so that a small machine holds them: each has a
	// user, so that a scaler leaves it alone. manyConfigs are their pools.
	manySessions, manyConfigs = 20_000, 1000
	// fillers is how many calls fill the servers at the same time, and fatesPerWrite how many
	// fates one of them writes.
	fillers, fatesPerWrite = 64, 64
	// watchedFor is how long the scaler is watched: longer than the interval of its resyncs.
	watchedFor = 75 * time.Second
	// decidedWithin is how long Nomad's schedulers get to find that no node takes the jobs. On a
	// busy machine they do not get through.
	decidedWithin = 30 * time.Second
	// patience is how long the slowest machine may take for one stage.
	patience = 15 * time.Minute
)

// notPlaceable is the demo's mock image with a constraint that no node fulfils.
func notPlaceable() staging.Image {
	constraint := "count = 1\n\n    constraint {\n      attribute = \"${meta.nowhere}\"\n      value     = \"here\"\n    }\n"
	return staging.Image{Name: "mock", Jobspec: strings.Replace(jobspecs.DemoMock, "count = 1\n", constraint, 1)}
}

// patiently waits until look is true.
func patiently(t *testing.T, what string, look func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !look(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// manyRig is the clients with which the servers are filled.
type manyRig struct {
	fleet    *nomadfleet.Fleet
	registry *registry.Registry
	store    *redisstore.Store
	image    staging.Image
	zone     staging.Zone
}

func newManyRig(t *testing.T, d *devProcess) *manyRig {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: d.Redis})
	t.Cleanup(func() { rdb.Close() })
	r := &manyRig{registry: registry.New(d.consul(t), ""), store: redisstore.New(rdb, redisstore.Options{}), image: notPlaceable()}
	var err error
	r.fleet, err = nomadfleet.Open(nomadfleet.Settings{Address: d.Nomad}, nomadfleet.Options{
		Installation: func() (staging.Installation, error) { return r.registry.Installation(t.Context()) }, CallTimeout: time.Minute,
	})
	must(t, err)
	d.ask(t, "GET", "/v1/zones/east", nil, 200, &r.zone)
	d.ask(t, "PUT", "/v1/images/mock", r.image, 201, nil)
	return r
}

// session returns a new session of a pool.
func (r *manyRig) session(pool string) staging.Session {
	return staging.Session{
		ID: staging.NewSessionID(), State: staging.Pending, Origin: staging.Staged, Zone: r.zone.Name, Image: r.image.Name, Staging: pool,
		Namespace: r.zone.Namespace, Region: r.zone.Region, CreatedAt: time.Now().UTC(), Permits: staging.Permissions{}.Permits(),
		Revision: staging.Revision(r.image, r.zone, staging.Permissions{}),
	}
}

// register registers a session's job.
func (r *manyRig) register(ctx context.Context, s staging.Session) error {
	_, err := r.fleet.Register(ctx, staging.StagedSpec(s, r.image, r.zone, staging.Config{Name: s.Staging, Zone: s.Zone, Image: s.Image}))
	return err
}

// store stores the staging configs, of which none wants a session.
func (r *manyRig) storeConfigs(t *testing.T) {
	t.Helper()
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(fillers)
	for i := range manyConfigs {
		g.Go(func() error {
			_, err := r.registry.PutConfig(ctx, staging.Config{Name: manyPool(i), Zone: r.zone.Name, Image: r.image.Name})
			return err
		})
	}
	must(t, g.Wait())
}

func manyPool(n int) string { return fmt.Sprintf("many-%04d", n%manyConfigs) }

// fill registers the sessions' jobs, and gives each a user in Consul and Redis.
func (r *manyRig) fill(t *testing.T) {
	t.Helper()
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(fillers)
	for from := 0; from < manySessions; from += fatesPerWrite {
		g.Go(func() error {
			var fates []staging.Fate
			var sessions []staging.Session
			for n := from; n < min(from+fatesPerWrite, manySessions); n++ {
				s, now := r.session(manyPool(n)), time.Now().UTC()
				if err := r.register(ctx, s); err != nil {
					return err
				}
				s.State, s.Claim, s.AssignedAt = staging.Assigned, staging.NewClaimID(), now
				s.User = &staging.User{ID: fmt.Sprintf("u-%d", n), Name: fmt.Sprintf("user %d", n)}
				sessions = append(sessions, s)
				fates = append(fates, staging.Fate{
					Session: s.ID, Verdict: staging.VerdictAssigned, Zone: s.Zone, User: s.User, Claim: s.Claim, DecidedAt: now, Lease: now.Add(staging.ClaimLease),
				})
			}
			if _, lost, err := r.registry.CreateFates(ctx, fates); err != nil || len(lost) > 0 {
				return errors.Join(err, fmt.Errorf("of %d fates %d were decided before", len(fates), len(lost)))
			}
			for i, s := range sessions {
				if _, err := r.store.Restore(ctx, s, fates[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	must(t, g.Wait())
}

// untilDecided waits until Nomad's schedulers have found no node for the jobs, for a while, and
// returns for how many they have.
func untilDecided(t *testing.T, d *devProcess) (decided int) {
	t.Helper()
	for end := time.Now().Add(decidedWithin); time.Now().Before(end); time.Sleep(time.Second) {
		blocked, _, err := d.nomad(t).Evaluations().List(&nomadapi.QueryOptions{Filter: `Status == "blocked"`})
		must(t, err)
		if decided = len(blocked); decided >= manySessions {
			break
		}
	}
	return decided
}

// bareLists is how long it takes to list what a scaler must know, with nothing done with it.
type bareLists struct{ jobs, evaluations, fates time.Duration }

func (b bareLists) whole() time.Duration { return b.jobs + b.evaluations + b.fates }

func listBarely(t *testing.T, d *devProcess) (b bareLists) {
	t.Helper()
	nomad := d.nomad(t)
	began := time.Now()
	jobs, _, err := nomad.Jobs().ListOptions(&nomadapi.JobListOptions{Fields: &nomadapi.JobListFields{Meta: true}}, &nomadapi.QueryOptions{Prefix: staging.SessionPrefix})
	must(t, err)
	b.jobs = time.Since(began)
	began = time.Now()
	evaluations, _, err := nomad.Evaluations().List(nil)
	must(t, err)
	b.evaluations = time.Since(began)
	began = time.Now()
	fates, _, err := d.consul(t).KV().List("greenroom/fates/", nil)
	must(t, err)
	b.fates = time.Since(began)
	if len(jobs) < manySessions || len(evaluations) < manySessions || len(fates) < manySessions {
		t.Fatalf("%d jobs, %d evaluations, %d fates", len(jobs), len(evaluations), len(fates))
	}
	return b
}

// untilInSync waits until a scaler knows all servers, and with acting until it acts in the zone.
func untilInSync(t *testing.T, scaler *agent, acting bool) {
	t.Helper()
	url := "http://" + scaler.Address
	patiently(t, "a scaler knows all servers", func() bool {
		if metric(t, url, "greenroom_scaler_in_sync") != 1 {
			return false
		}
		return !acting || metric(t, url, `greenroom_scaler_zone_acting{zone="east"}`) == 1
	})
}

// resident returns a process's resident memory, in bytes.
func resident(t *testing.T, a *agent) float64 {
	return metric(t, "http://"+a.Address, "process_resident_memory_bytes")
}

// heapOf returns the size of a process's heap, with what is garbage by now.
func heapOf(t *testing.T, a *agent) float64 {
	return metric(t, "http://"+a.Address, "go_memstats_heap_alloc_bytes")
}

// connectionsOf counts a process's established connections to an address on loopback.
func connectionsOf(t *testing.T, pid int, address string) (n int) {
	t.Helper()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(address, "http://"))
	must(t, err)
	number, err := strconv.Atoi(port)
	must(t, err)
	own := map[string]bool{}
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	must(t, err)
	for _, file := range files {
		if to, err := os.Readlink(file); err == nil { // it may be closed by now
			own[strings.TrimSuffix(strings.TrimPrefix(to, "socket:["), "]")] = true
		}
	}
	table, err := os.ReadFile("/proc/net/tcp")
	must(t, err)
	const remote, state, inode, established = 2, 3, 9, "01"
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) > inode && f[state] == established && own[f[inode]] && strings.HasSuffix(f[remote], fmt.Sprintf(":%04X", number)) {
			n++
		}
	}
	return n
}

// eventWaits registers the job of one more session after the other, and returns how long each
// time it took until the scaler had stored it in Redis, which it learns from Nomad's events
// alone. Beside that it calls look.
func (r *manyRig) eventWaits(t *testing.T, within time.Duration, look func()) (waits []float64) {
	t.Helper()
	for end := time.Now().Add(within); time.Now().Before(end); {
		s := r.session(manyPool(0))
		must(t, r.register(t.Context(), s))
		began := time.Now()
		patiently(t, "the scaler has noticed a new session", func() bool {
			_, err := r.store.Session(t.Context(), s.ID)
			if !errors.Is(err, staging.ErrNoSession) {
				must(t, err)
			}
			return err == nil
		})
		waits = append(waits, milliseconds(began))
		look()
		time.Sleep(glance)
	}
	slices.Sort(waits)
	return waits
}

// TestMeasureManyJobs measures row 21: scalers of a Nomad that holds 20,000 sessions.
func TestMeasureManyJobs(t *testing.T) {
	keep := measure(t)
	c, d := startServersWith(t, devcluster.Options{Datacenters: []string{"dc1"}})
	r := newManyRig(t, d)
	r.storeConfigs(t)
	// What scalers need that have no session yet.
	acting := startAgent(t, c, "scaler")
	untilInSync(t, acting, true)
	standby := startAgent(t, c, "scaler")
	untilInSync(t, standby, false)
	empty, emptyHeap := resident(t, standby), heapOf(t, standby)
	standby.End(t, syscall.SIGTERM)
	acting.End(t, syscall.SIGTERM)

	began := time.Now()
	r.fill(t)
	t.Logf("filled after %s", time.Since(began))
	decided := untilDecided(t, d)
	var wholes, starts []float64
	var lists []bareLists
	for range measuredRuns(t) {
		if len(starts) > 0 {
			acting.End(t, syscall.SIGTERM)
		}
		untilAtRest(t)
		b := listBarely(t, d)
		lists, wholes = append(lists, b), append(wholes, b.whole().Seconds())
		untilAtRest(t)
		began := time.Now()
		acting = startAgent(t, c, "scaler")
		untilInSync(t, acting, true)
		starts = append(starts, time.Since(began).Seconds())
	}
	standby = startAgent(t, c, "scaler")
	untilInSync(t, standby, false)
	connected, leastHeap, most := 0, heapOf(t, standby), 0.0
	waits := r.eventWaits(t, watchedFor, func() {
		connected = max(connected, connectionsOf(t, acting.PID(), d.Consul))
		leastHeap, most = min(leastHeap, heapOf(t, standby)), max(most, resident(t, standby))
	})
	start, whole := benchreport.Median(starts...), benchreport.Median(wholes...)
	resident, live := (most-empty)/manySessions, (leastHeap-emptyHeap)/manySessions
	ratio := start / whole
	keep(benchreport.Row{
		Number: 21, What: "20,000 jobs, 20,000 fates, 1,000 configs: a scaler's start to acting",
		Target: "at most 2 times two bare lists and one of fates; a standby's memory at most 4 KiB a session; at most 100 connections to Consul",
		Figure: fmt.Sprintf("%.1f s of %.1f s; a standby holds %.1f KiB a session; %d connections to Consul; events wait %.0f ms at p50, %.0f at most",
			start, whole, live/1024, connected, benchreport.Median(waits...), waits[len(waits)-1]),
		Ratio: ratio, Met: ratio <= 2 && live <= 4096 && connected <= 100,
		Note: fmt.Sprintf("the lists are of the jobs with their meta and of the evaluations, since no job is placed (of %d Nomad had found that no node takes them); a standby holds the least that its heap had within more than a minute, less that of one without a session "+
			"(the most that was resident: %.0f MB, without a session %.0f: %.1f KiB a session); events are registrations of jobs, from the answer until the scaler has acted on them, over more than one resync",
			decided, most/1e6, empty/1e6, resident/1024),
		Raw: map[string]any{"start_s": starts, "lists": lists, "event_wait_ms": waits},
	})
}
