package scaler

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
)

// Parts are the adapters that a scaler works with. One value may serve several
// fields: the four stores are usually the same Redis store.
type Parts struct {
	Registry        Registry
	SessionStore    SessionStore
	AssignedStore   AssignedStore
	RoomStore       RoomStore
	QueueStore      QueueStore
	QuarantineStore QuarantineStore
	TrustStore      TrustStore
	EventStore      EventStore
	Fleet           Fleet
	Health          Health
	Hooks           Hooks
	Locks           Locks
	Meter           Meter
	// Brokers may be nil: then a dead broker's claims end with their leases.
	Brokers Brokers
	// Profiles may be nil: then no lease of a profile is freed.
	Profiles Profiles
	// Quota may be nil: then no limit of sessions is kept.
	Quota Quota
	// Installation may be nil: then no other installation shares the servers.
	Installation Installation
	// Demand and Histories may be nil, both: then no history is kept, and no pool follows its
	// demand.
	Demand    DemandStore
	Histories Histories
	// Board may be nil: then pool statuses are not shown in Consul.
	Board Board
	// Catalog may be nil: then Consul does not show whose the assigned sessions are.
	Catalog Catalog
	Log     *logrus.Entry
}

// Options tune a scaler. A zero value means the default named here.
type Options struct {
	// Bounds of one pass; default DefaultBounds.
	Bounds Bounds
	// Workers is how many steps are applied concurrently; default 16. HookWorkers,
	// TagWorkers and PurgeWorkers are the same for steps that may take long, for steps that
	// can wait, and for purges; default 8, 4 and 2.
	Workers, HookWorkers, TagWorkers, PurgeWorkers int
	// Resync is the interval of complete reads when nothing failed; default 1 minute.
	Resync time.Duration
}

// Scaler keeps pools at their desired size. Run it once.
type Scaler struct {
	Parts
	o Options
	// updates are the changes to the view, in the order in which the loop applies them.
	updates chan func(*view)
	// workers are the channels from which each queue's workers take their tasks.
	workers [queueCount]chan task
	// fleetResync requests a complete read of Nomad's sessions and the fates now.
	fleetResync chan struct{}
	// generations are those of staged sessions.
	generations generations
	// wg counts the goroutines that Run started.
	wg sync.WaitGroup
	// trustSnapshot passes the loop's trustState to the goroutine that renews trust.
	trustSnapshot trustSnapshot
	// inSync passes view.inSync to health checks.
	inSync syncFlag
}

// New returns a scaler that works with the parts.
func New(p Parts, o Options) *Scaler {
	if o.Bounds == (Bounds{}) {
		o.Bounds = DefaultBounds
	}
	if o.Workers == 0 {
		o.Workers = 16
	}
	if o.HookWorkers == 0 {
		o.HookWorkers = 8
	}
	if o.TagWorkers == 0 {
		o.TagWorkers = 4
	}
	if o.PurgeWorkers == 0 {
		o.PurgeWorkers = 2
	}
	if o.Resync == 0 {
		o.Resync = time.Minute
	}
	if p.Board == nil {
		p.Board = noBoard{}
	}
	if p.Catalog == nil {
		p.Catalog = noCatalog{}
	}
	if p.Quota == nil {
		p.Quota = noQuota{}
	}
	if p.Installation == nil {
		p.Installation = anyInstallation{}
	}
	s := &Scaler{Parts: p, o: o, updates: make(chan func(*view), 1024), fleetResync: make(chan struct{}, 1)}
	for i := range s.workers {
		s.workers[i] = make(chan task)
	}
	return s
}

// Run works until ctx is done, and returns when everything that it started has stopped.
func (s *Scaler) Run(ctx context.Context) {
	defer s.wg.Wait()
	for queue, n := range [queueCount]int{workQueue: s.o.Workers, hookQueue: s.o.HookWorkers, tagQueue: s.o.TagWorkers, purgeQueue: s.o.PurgeWorkers} {
		for range n {
			s.wg.Go(func() { s.worker(ctx, s.workers[queue]) })
		}
	}
	s.wg.Go(func() { s.watchRegistry(ctx) })
	s.wg.Go(func() { s.watchFleet(ctx) })
	s.wg.Go(func() { s.watchStore(ctx) })
	if s.Profiles != nil {
		s.wg.Go(func() { s.freeProfiles(ctx) })
	}
	if s.Demand != nil && s.Histories != nil {
		s.wg.Go(func() { s.sizePools(ctx) })
		s.wg.Go(func() { s.keepHistories(ctx) })
	}
	if s.Brokers != nil {
		s.wg.Go(func() { s.watchBrokers(ctx) })
	}
	s.loop(ctx)
}

// syncFlag is a boolean that the loop writes and health checks read.
type syncFlag struct{ v atomic.Bool }

func (f *syncFlag) set(b bool) { f.v.Store(b) }

// InSync reports whether every source is known, which is when the scaler acts.
func (s *Scaler) InSync() bool { return s.inSync.v.Load() }
