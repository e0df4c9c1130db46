package scaler

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// Registry is what the scaler asks of Consul's KV store.
type Registry interface {
	// Watch calls emit with the resources now and at every change, until it fails.
	Watch(ctx context.Context, emit func(staging.Resources)) error
	Fates(ctx context.Context) (map[string]staging.Fate, error)
	CreateFate(ctx context.Context, f staging.Fate) (won bool, decided staging.Fate, err error)
	AbandonFate(ctx context.Context, f staging.Fate, reason string) error
	DeleteFate(ctx context.Context, session string) error
}

// Store is what the scaler asks of Redis.
type Store interface {
	Record(ctx context.Context, s staging.Session) (staging.State, error)
	Publish(ctx context.Context, s staging.Session) error
	Withdraw(ctx context.Context, s staging.Session) error
	Retire(ctx context.Context, s staging.Session, reason string) error
	Assign(ctx context.Context, s staging.Session) (staging.Session, error)
	Restore(ctx context.Context, s staging.Session, f staging.Fate) (staging.State, error)
	Finish(ctx context.Context, id, claim, reason string) error
	Ended(ctx context.Context, s staging.Session, reason string) error
	// ExpireKeepalive ends a session whose keepalive is over, unless one came in time, and
	// gives the session as it then is.
	// lost is when Redis may have lost keepalives; zero for never.
	ExpireKeepalive(ctx context.Context, s staging.Session, lost time.Time) (staging.Session, error)
	// Note keeps an event that is no move of a session.
	Note(ctx context.Context, e staging.Event) error
	Session(ctx context.Context, id string) (staging.Session, error)
	Sessions(ctx context.Context) ([]staging.Session, error)
	SetConditions(ctx context.Context, pool string, cs []staging.Condition) error
	// Mark leaves a mark in a zone; Vouch leaves another, so that claims believe Redis,
	// unless the one before is not there any more.
	PlaceMarker(ctx context.Context, zone, mark string) error
	// With renew, the one before must be recent, too.
	RenewTrust(ctx context.Context, zone, before, mark string, renew bool) (noted bool, err error)
	// Epoch changes when Redis's data was wiped.
	Epoch(ctx context.Context) (string, error)
	LastEvent(ctx context.Context) (position string, err error)
	Events(ctx context.Context, after string, block time.Duration) (events []staging.Event, position string, err error)
}

// Fleet is what the scaler asks of Nomad.
type Fleet interface {
	Register(ctx context.Context, spec staging.Spec) (evalID string, err error)
	// Tag shows in Consul whose an assigned session is. It may be repeated.
	Tag(ctx context.Context, s staging.Session) error
	Stop(ctx context.Context, s staging.Session) error
	Purge(ctx context.Context, s staging.Session) error
	List(ctx context.Context) (all []staging.Observation, index uint64, err error)
	// Watch emits what happens after index, until it fails or news may be missing.
	Watch(ctx context.Context, index uint64, emit func(staging.Observation)) error
}

// Health is what the scaler asks of Consul's catalog.
type Health interface {
	// Watch calls emit with a service's instances now and at every change, until it fails.
	Watch(ctx context.Context, service string, emit func([]staging.Health)) error
}

// Hooks runs hooks in sessions that nobody has yet.
type Hooks interface {
	// FirstLaunch runs a session's first_launch hook, at most once however often
	// it is asked for, and whoever asks. The error may be a *staging.HookError.
	FirstLaunch(ctx context.Context, s staging.Session, h staging.Hook) error
}

// Meter counts what the scaler does.
type Meter interface {
	// Step counts a step that was applied, by its kind and whether it failed.
	Step(k Kind, failed bool)
	// Pool gives a pool's numbers as the scaler sees them.
	Pool(name string, desired, current, ready int)
	// PoolGone forgets a pool that has been drained, or is another scaler's.
	PoolGone(name string)
	// Conditions says why a pool's numbers are not as they should be.
	Conditions(name string, cs []staging.Condition)
	// HookFailed counts a first_launch hook that failed.
	HookFailed()
	// Zones gives the zones that there are, with whether this scaler acts in each, and
	// the lock for sessions whose zone is not known. It may not keep the maps.
	Zones(there, acting map[string]bool)
}

// Board shows in Consul how pools stand. It only notes what it is told, and never blocks.
type Board interface {
	// Show says how a pool stands; its conditions are not written to any more.
	Show(pool string, s staging.PoolStatus)
	// Gone says that a pool has been drained, or is another scaler's.
	Gone(pool string)
	// Holds says in which zones this scaler acts, and whether it knows how they stand.
	Holds(zones map[string]bool, knows bool)
}

// Parts are the adapters that a scaler works with.
type Parts struct {
	Registry Registry
	Store    Store
	Fleet    Fleet
	Health   Health
	Hooks    Hooks
	Locks    Locks
	Meter    Meter
	// Board is nil where nothing is shown.
	Board Board
	Log   *logrus.Entry
}

// Options tune a scaler; zero values are replaced by the defaults named here.
type Options struct {
	// Bounds of one pass; DefaultBounds.
	Bounds Bounds
	// Workers is how many steps are applied at once; 16. HookWorkers and
	// TagWorkers are those of the steps that may take long, and of those that can
	// wait; 8 and 4.
	Workers, HookWorkers, TagWorkers int
	// Resync is how often everything is read anew though nothing failed; 1 minute.
	Resync time.Duration
}

// Scaler keeps pools at their desired size. Run it once.
type Scaler struct {
	Parts
	o       Options
	updates chan func(*view)
	workers [queueCount]chan task
	// reread asks for Nomad's sessions and the fates to be read anew, now.
	fleetResync chan struct{}
	// wg counts the goroutines that Run started.
	wg sync.WaitGroup
	// redisLostAt is when Redis was last found wiped or put back.
	redisLostAt atomic.Pointer[time.Time]
	// told is what whoever vouches for Redis goes by.
	trustSnapshot trustSnapshot
	// inSync is told whether every source is known, for health checks.
	inSync syncFlag
}

// New returns a scaler on its parts.
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
	if o.Resync == 0 {
		o.Resync = time.Minute
	}
	if p.Board == nil {
		p.Board = noBoard{}
	}
	s := &Scaler{Parts: p, o: o, updates: make(chan func(*view), 1024), fleetResync: make(chan struct{}, 1)}
	for i := range s.workers {
		s.workers[i] = make(chan task)
	}
	return s
}

// noBoard shows nothing.
type noBoard struct{}

func (noBoard) Show(string, staging.PoolStatus) {}
func (noBoard) Gone(string)                     {}
func (noBoard) Holds(map[string]bool, bool)     {}

// Run works until ctx is done, and returns when everything that it started has stopped.
func (s *Scaler) Run(ctx context.Context) {
	defer s.wg.Wait()
	for queue, n := range [queueCount]int{workQueue: s.o.Workers, hookQueue: s.o.HookWorkers, tagQueue: s.o.TagWorkers} {
		for range n {
			s.wg.Go(func() { s.worker(ctx, s.workers[queue]) })
		}
	}
	s.wg.Go(func() { s.watchRegistry(ctx) })
	s.wg.Go(func() { s.watchFleet(ctx) })
	s.wg.Go(func() { s.watchStore(ctx) })
	s.loop(ctx)
}

// tick is how closely times (expiration, pauses) are kept.
const tick = 200 * time.Millisecond

// loop owns the view: it takes news, decides, and hands out steps.
func (s *Scaler) loop(ctx context.Context) {
	v := newView()
	var queues queues
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		work, next := queues.offer(s.workers)
		select {
		case <-ctx.Done():
			return
		case news := <-s.updates:
			news(v)
			s.drain(v)
		case work[workQueue] <- next[workQueue]:
			queues.pop(workQueue)
			continue
		case work[hookQueue] <- next[hookQueue]:
			queues.pop(hookQueue)
			continue
		case work[tagQueue] <- next[tagQueue]:
			queues.pop(tagQueue)
			continue
		case now := <-ticker.C:
			v.wakeDue(now)
			s.followLocks(v, now)
			s.trustSnapshot.store(v.trustState())
		}
		s.inSync.set(v.inSync())
		if v.inSync() {
			queues.add(s.decide(ctx, v, time.Now()))
		}
	}
}

// drain takes what else has come, so that a burst of news costs one decision.
func (s *Scaler) drain(v *view) {
	for range cap(s.updates) {
		select {
		case news := <-s.updates:
			news(v)
		default:
			return
		}
	}
}

// post hands news to the loop.
func (s *Scaler) post(ctx context.Context, news func(*view)) {
	select {
	case s.updates <- news:
	case <-ctx.Done():
	}
}

// decide looks at what was touched and gives the steps that it needs.
func (s *Scaler) decide(ctx context.Context, v *view, now time.Time) []task {
	var tasks []task
	if v.watchesStale {
		v.watchesStale = false
		s.ensureHealthWatches(ctx, v)
	}
	for name := range v.dirtyPools {
		if p := v.pools[name]; p != nil && v.acts(p.config.Zone) {
			tasks = append(tasks, s.decidePool(v, p, now)...)
		}
	}
	v.dirtyPools = emptied(v.dirtyPools)
	for id := range v.dirtySessions {
		if e := v.sessions[id]; e != nil && !e.pooled() && v.acts(zoneOf(e.s)) {
			tasks = append(tasks, s.decideSession(v, e, now)...)
		}
	}
	v.dirtySessions = emptied(v.dirtySessions)
	return tasks
}

// emptied gives the map without its keys; another in place of one that held many:
// a map never shrinks, and to go through it costs what it once held.
func emptied(m map[string]bool) map[string]bool {
	if len(m) > 256 {
		return map[string]bool{}
	}
	clear(m)
	return m
}

func (s *Scaler) decidePool(v *view, p *pool, now time.Time) []task {
	view := v.viewOf(p, now)
	plan := Decide(view, s.o.Bounds, now)
	p.wake = plan.Wake
	ready := 0
	for i := range view.Members {
		if view.Members[i].State == staging.Ready {
			ready++
		}
	}
	desired := view.Desired
	if p.removed {
		desired = 0
	}
	s.Meter.Pool(p.config.Name, desired, len(view.Members), ready)
	if p.removed && len(p.members.entries) == 0 && len(plan.Steps) == 0 {
		s.forgetPool(v, p)
		return []task{{pool: p.config.Name, zone: p.config.Zone, report: []staging.Condition{}}}
	}
	var tasks []task
	for _, step := range plan.Steps {
		if step.Kind == Stage {
			tasks = append(tasks, s.newStageTask(v, p, step, now))
			continue
		}
		if step.Failure != nil {
			p.failed(step.Failure, now)
		}
		if e := v.sessions[step.Session]; e != nil && e.pool == p && !e.busy {
			t := s.newTask(v, e, step, now)
			t.zone = p.config.Zone
			tasks = append(tasks, t)
		}
	}
	tasks = append(tasks, s.report(p, plan.Conditions, now)...)
	s.Board.Show(p.config.Name, staging.PoolStatus{
		Zone: p.config.Zone, Image: p.config.Image, Desired: desired, Current: len(view.Members), Ready: ready,
		Draining: p.removed, Conditions: p.conditions,
	})
	return tasks
}

// drained forgets a pool whose config is gone and whose sessions are.
func (s *Scaler) forgetPool(v *view, p *pool) {
	if p.stopWatch != nil {
		p.stopWatch()
	}
	delete(v.pools, p.config.Name)
	s.Meter.PoolGone(p.config.Name)
	s.Board.Gone(p.config.Name)
	s.Log.WithField(logfield.Staging, p.config.Name).Info("pool drained")
}

// report tells Redis of a pool's conditions when they changed.
func (s *Scaler) report(p *pool, found []staging.Condition, now time.Time) []task {
	p.conditions = since(p.conditions, found, now.UTC())
	if p.reported != nil && sameConditions(*p.reported, p.conditions) {
		return nil
	}
	for _, c := range p.conditions {
		s.Log.WithFields(logrus.Fields{logfield.Staging: p.config.Name, logfield.Condition: c.Type, logfield.Reason: c.Message}).Warn("pool is not as its config wants it")
	}
	s.Meter.Conditions(p.config.Name, p.conditions)
	reported := p.conditions
	p.reported = &reported
	return []task{{pool: p.config.Name, zone: p.config.Zone, report: reported}}
}

func sameConditions(a, b []staging.Condition) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func (s *Scaler) decideSession(v *view, e *entry, now time.Time) []task {
	if e.busy || now.Before(e.until) {
		v.timed[e.s.ID] = e.until
		return nil
	}
	step, wake := DecideSession(v.unpooledOf(e), now)
	delete(v.timed, e.s.ID)
	if !wake.IsZero() {
		v.timed[e.s.ID] = wake
	}
	if step == nil {
		return nil
	}
	step.Session = e.s.ID
	return []task{s.newTask(v, e, *step, now)}
}

// due marks what is to be looked at again by now.
func (v *view) wakeDue(now time.Time) {
	for name, p := range v.pools {
		if !p.wake.IsZero() && !p.wake.After(now) {
			v.dirtyPools[name] = true
		}
	}
	for id, at := range v.timed {
		if !at.After(now) {
			if e := v.sessions[id]; e != nil {
				v.markDirty(e)
			}
			delete(v.timed, id)
		}
	}
}
