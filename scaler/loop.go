package scaler

import (
	"context"
	"time"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// tick is the precision with which times (expirations, pauses) are kept.
const tick = 200 * time.Millisecond

// loop owns the view. Each round it takes one input and then decides what is dirty:
//
//  1. an update from a watcher or worker changes the view, together with all
//     updates that are already waiting, so that a burst costs one decision;
//  2. a worker takes a task: nothing changed, so nothing is decided;
//  3. a tick marks dirty what is due, follows the zone locks, and stores the trustState.
func (s *Scaler) loop(ctx context.Context) {
	v := newView()
	var waiting queues
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		ticked := false
		work, next := waiting.offer(s.workers, v.underWay)
		select {
		case <-ctx.Done():
			return
		case update := <-s.updates:
			update(v)
			s.applyWaiting(v)
		case work[workQueue] <- next[workQueue]:
			waiting.pop(workQueue)
			v.underWay++
			continue
		case work[hookQueue] <- next[hookQueue]:
			waiting.pop(hookQueue)
			continue
		case work[tagQueue] <- next[tagQueue]:
			waiting.pop(tagQueue)
			continue
		case work[purgeQueue] <- next[purgeQueue]:
			waiting.pop(purgeQueue)
			continue
		case now := <-ticker.C:
			v.wakeDue(now)
			s.followLocks(v, now)
			s.Meter.Quarantined(len(v.quarantined))
			s.reportWaiting(v)
			s.trustSnapshot.store(v.trustState())
			ticked = true
		}
		s.inSync.set(v.inSync())
		if v.inSync() {
			waiting.add(s.decide(ctx, v, time.Now()))
		}
		for _, passed := range v.afterPass {
			close(passed)
		}
		v.afterPass = nil
		if ticked {
			// Only now: decide has passed on the sessions of a zone that was just taken over.
			s.Catalog.Holds(v.acting, v.wantedLocks, v.inSync())
		}
	}
}

// applyWaiting applies the updates that are already waiting.
func (s *Scaler) applyWaiting(v *view) {
	for range cap(s.updates) {
		select {
		case update := <-s.updates:
			update(v)
		default:
			return
		}
	}
}

// post sends an update to the loop. It drops the update when ctx is done.
func (s *Scaler) post(ctx context.Context, update func(*view)) {
	select {
	case s.updates <- update:
	case <-ctx.Done():
	}
}

// untilDecided waits until the loop has applied all that was posted before, and decided by it.
func (s *Scaler) untilDecided(ctx context.Context) {
	passed := make(chan struct{})
	s.post(ctx, func(v *view) { v.afterPass = append(v.afterPass, passed) })
	select {
	case <-passed:
	case <-ctx.Done():
	}
}

// decide decides the dirty pools and sessions and returns their tasks.
func (s *Scaler) decide(ctx context.Context, v *view, now time.Time) []task {
	var tasks []task
	v.pass++
	if v.watchesStale {
		v.watchesStale = false
		s.ensureHealthWatches(ctx, v)
	}
	v.makeRoom(now)
	for name := range v.dirtyPools {
		if p := v.pools[name]; p != nil && v.acts(p.config.Zone) {
			tasks = append(tasks, s.decidePool(v, p, now)...)
		}
	}
	v.dirtyPools = emptied(v.dirtyPools)
	for id := range v.dirtySessions {
		if e := v.sessions[id]; e != nil && !e.pooled() && v.acts(zoneOf(e.s)) {
			tasks = append(tasks, s.decideSession(v, e, now)...)
			s.showInCatalog(v, e)
		}
	}
	v.dirtySessions = emptied(v.dirtySessions)
	return tasks
}

// emptied returns the map without its keys, or a new map if it held many: a map
// never shrinks, and ranging over it costs as much as its largest size.
func emptied(m map[string]bool) map[string]bool {
	if len(m) > 256 {
		return map[string]bool{}
	}
	clear(m)
	return m
}

// decidePool runs Decide on a pool, reports the pool's status, and returns its tasks.
func (s *Scaler) decidePool(v *view, p *pool, now time.Time) []task {
	input := v.poolInput(p, now)
	if input.Spread.Unknown && p.where.missingSince.Equal(now) {
		s.requestFleetResync() // which reads them
	}
	plan := Decide(input, s.o.Bounds, now)
	p.wake = plan.Wake
	if p.removed && len(p.members.entries) == 0 && len(plan.Steps) == 0 {
		s.forgetPool(v, p)
		return []task{{pool: p.config.Name, zone: p.config.Zone, report: report{forgetFailure: true}}}
	}
	var tasks []task
	for _, step := range plan.Steps {
		if step.Kind == Stage {
			tasks = append(tasks, s.newStageTask(v, p, step, now))
			continue
		}
		if e := v.sessions[step.Session]; e != nil && step.Failure != nil {
			v.noteFailure(p, e, step.Failure, now)
		}
		if e := v.sessions[step.Session]; e != nil && e.pool == p && !e.busy {
			t := s.newTask(v, e, step, now)
			t.zone = p.config.Zone
			tasks = append(tasks, t)
		}
	}
	tasks = append(tasks, s.report(p, report{
		conditions: plan.Conditions, rollout: rolloutOf(input), usual: p.usual(), remark: p.remark(), sized: p.config.Sizing != nil,
		lastFailure: p.lastFailure, forgetFailure: p.forgetFailure && p.lastFailure == nil, kept: p.keptFailed(),
	}, now)...)
	status := p.status(input)
	if late := status.LateAt(); late.After(now) && (p.wake.IsZero() || late.Before(p.wake)) {
		p.wake = late // it is not filling any more then
	}
	p.shown = true
	s.Meter.Pool(p.config.Name, status, status.Fill(now))
	s.Board.Show(p.config.Name, status)
	return tasks
}

// status returns a pool's status, as input and the pool's conditions have it.
func (p *pool) status(input PoolInput) staging.PoolStatus {
	s := staging.PoolStatus{
		Zone: p.config.Zone, Image: p.config.Image, Desired: input.Desired, Current: len(input.Members),
		DesiredReason: input.DesiredReason, Usual: p.usual(), Draining: p.removed, Conditions: p.conditions,
	}
	if p.removed {
		s.Desired = 0
	}
	for i := range input.Members {
		switch m := &input.Members[i]; {
		case m.State == staging.Ready:
			s.Ready++
		case s.Oldest.IsZero() || m.CreatedAt.Before(s.Oldest):
			s.Oldest = m.CreatedAt
		}
	}
	return s
}

// forgetPool drops a pool whose config is deleted and whose sessions have ended.
func (s *Scaler) forgetPool(v *view, p *pool) {
	if p.stopWatch != nil {
		p.stopWatch()
	}
	delete(v.pools, p.config.Name)
	s.Meter.PoolGone(p.config.Name)
	s.Board.Gone(p.config.Name)
	s.Log.WithField(logfield.Staging, p.config.Name).Info("pool drained: its staging config is deleted and its last unassigned session has ended")
}

// decideSession runs DecideSession on a session that Decide does not handle, and returns
// its task; none while a step for the session is under way or its pause is not over.
func (s *Scaler) decideSession(v *view, e *entry, now time.Time) []task {
	if e.busy || now.Before(e.until) {
		v.timed[e.s.ID] = e.until
		return nil
	}
	step, wake := DecideSession(v.unpooledOf(e), now)
	delete(v.timed, e.s.ID)
	if fresh := e.nextFresh(now); e.staleHealth && (wake.IsZero() || fresh.Before(wake)) {
		wake = fresh
	}
	if !wake.IsZero() {
		v.timed[e.s.ID] = wake
	}
	if step == nil {
		return nil
	}
	step.Session = e.s.ID
	return []task{s.newTask(v, e, *step, now)}
}

// wakeDue marks dirty what is to be decided again by now.
func (v *view) wakeDue(now time.Time) {
	for name, p := range v.pools {
		if !p.wake.IsZero() && !p.wake.After(now) {
			v.dirtyPools[name] = true
		}
	}
	for id, at := range v.timed {
		if !at.After(now) {
			if e := v.sessions[id]; e != nil {
				if e.staleHealth {
					v.updateHealth(e, now)
				}
				v.markDirty(e)
			}
			delete(v.timed, id)
			if e := v.sessions[id]; e != nil && e.staleHealth {
				v.timed[id] = e.nextFresh(now) // this wake was for something before that
			}
		}
	}
}
