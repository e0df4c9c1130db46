package scaler

import (
	"context"
	"errors"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// task is a step with all that applying it needs, so that a worker never looks
// at the view; or, with report set, a pool's conditions to be told.
type task struct {
	step    Step
	session staging.Session
	// from is the session's state when the step was decided.
	from staging.State
	fate staging.Fate
	// spec is what Stage makes, hook what FirstLaunch runs.
	spec staging.Spec
	hook staging.Hook
	pool string
	// zone is the one whose lock must still be held when the step is applied.
	zone   string
	report []staging.Condition
}

// stepTimeout bounds the application of one step, which makes at most three
// calls. retryPause is how long a session is left alone after a failed step.
const (
	stepTimeout = 20 * time.Second
	retryPause  = 2 * time.Second
)

func (t task) timeout() time.Duration {
	if t.step.Kind == FirstLaunch {
		return stepTimeout + t.hook.Deadline()
	}
	return stepTimeout
}

// task makes an entry busy with a step.
func (s *Scaler) newTask(v *view, e *entry, step Step, now time.Time) task {
	e.busy, e.touchedAt = true, now
	v.memberChanged(e)
	x := e.s
	if step.Kind == Record {
		x.State = staging.Pending
		if e.running {
			x.State = staging.Starting
		}
	}
	t := task{step: step, session: x, from: e.s.State, fate: e.fate, pool: e.s.Staging, zone: zoneOf(e.s)}
	if h := v.firstLaunchHook(e); h != nil {
		t.hook = *h
	}
	return t
}

// stage gives a new session its entry, so that it counts from this moment on.
func (s *Scaler) newStageTask(v *view, p *pool, step Step, now time.Time) task {
	zone, image := v.resources.Zones[p.config.Zone], v.resources.Images[p.config.Image]
	hooks := image.ExecConfig
	x := staging.Session{
		ID: staging.NewSessionID(), State: staging.Pending, Origin: staging.Staged,
		Zone: zone.Name, Image: image.Name, Staging: p.config.Name, Revision: p.target.revision,
		Namespace: zone.Namespace, Region: zone.Region, CreatedAt: now.UTC(), Hooks: &hooks,
		Permits: p.target.permits,
	}
	x.ExpiresAt = p.config.ExpiresAt(x.ID, x.CreatedAt)
	e := v.entry(x.ID, now)
	e.s, e.hasJob, e.busy, e.touchedAt = x, true, true, now
	v.updateMembership(e)
	step.Session = x.ID
	return task{step: step, session: x, spec: staging.StagedSpec(x, image, zone, p.config), pool: p.config.Name, zone: p.config.Zone}
}

func (s *Scaler) worker(ctx context.Context, work <-chan task) {
	for {
		select {
		case <-ctx.Done():
			return
		case t := <-work:
			// A step that has begun is carried through when the scaler is told
			// to stop, within its deadline.
			c, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.timeout())
			switch {
			case t.step.Kind == "" && !s.Locks.Held(t.zone):
				// The zone's holder tells of it.
			case t.step.Kind == "":
				s.writeConditions(c, t)
			default:
				result := result{err: errNotHeld, gone: t.step.Kind == Stage}
				if s.Locks.Held(t.zone) {
					result = s.apply(c, t)
				}
				s.Meter.Step(t.step.Kind, result.err != nil)
				s.post(ctx, func(v *view) { s.applied(v, t, result) })
			}
			cancel()
		}
	}
}

// tell writes a pool's conditions.
func (s *Scaler) writeConditions(ctx context.Context, t task) {
	if err := s.Store.SetConditions(ctx, t.pool, t.report); err != nil {
		s.Log.WithError(err).WithField(logfield.Staging, t.pool).Warn("could not tell Redis a pool's conditions")
		s.post(ctx, func(v *view) {
			if p := v.pools[t.pool]; p != nil {
				p.reported, p.wake = nil, time.Now().Add(retryPause)
			}
		})
	}
}

// result is what a step led to.
type result struct {
	// state is what the session came to; "" where that is not known.
	state staging.State
	// lost: Redis does not know the session.
	lost bool
	// fate is set when the step learnt whose the session is.
	fate *staging.Fate
	// gone: nothing of it is left to know.
	gone bool
	// learnt is the session as Redis has it, where the step read it.
	stored *staging.Session
	// failure is a failure to make the session that counts towards its pool's backoff.
	failure *staging.Failure
	err     error
}

// apply carries out one step. It is the only place where the scaler acts.
func (s *Scaler) apply(ctx context.Context, t task) result {
	x := t.session
	switch t.step.Kind {
	case Stage:
		return s.applyStage(ctx, t)
	case Record:
		state, err := s.Store.Record(ctx, x)
		return result{state: state, lost: err == nil && state == "", err: err}
	case Publish:
		return transition(staging.Ready, s.Store.Publish(ctx, x))
	case Withdraw:
		return transition(staging.Starting, s.Store.Withdraw(ctx, x))
	case Retire:
		return s.applyRetire(ctx, t)
	case Assign:
		if t.fate.Claim != "" {
			x.Claim = t.fate.Claim
		}
		x.ExpiresAt = time.Time{} // expiration is for those that wait
		_, err := s.Store.Assign(ctx, x)
		return transition(staging.Assigned, err)
	case Restore:
		x = t.fate.Given(x)
		switch {
		case t.fate.HookPending:
			x.State = staging.Claimed
		case x.Origin == staging.OnDemand:
			x.State, x.AssignedAt = staging.Starting, time.Time{} // until it is up, and admitted
		}
		state, err := s.Store.Restore(ctx, x, t.fate)
		return result{state: state, err: err}
	case FirstLaunch:
		return s.applyFirstLaunch(ctx, t)
	case Tag:
		return s.applyTag(ctx, t)
	case ExpireKeepalive:
		return s.applyExpireKeepalive(ctx, t)
	case End:
		return s.applyEnd(ctx, t)
	case Stop:
		return result{err: s.Fleet.Stop(ctx, x)}
	case MarkEnded:
		return result{state: staging.Ended, err: s.Store.Ended(ctx, x, t.step.Reason)}
	case Purge:
		// The record of its fate goes last: while anything of it might still be
		// found, its fate must stand.
		err := s.Fleet.Purge(ctx, x)
		if err == nil {
			err = s.Registry.DeleteFate(ctx, x.ID)
		}
		return result{gone: err == nil, err: err}
	}
	panic("scaler: no such step: " + string(t.step.Kind))
}

// moved reads a store's answer to a move: a session that was in another state
// is no failure, but news.
func transition(to staging.State, err error) result {
	var other *staging.StateError
	if errors.As(err, &other) && !other.Fenced {
		return result{state: other.State, lost: other.State == ""}
	}
	if err != nil {
		return result{err: err}
	}
	return result{state: to}
}

// applyEnd ends a session that is, or was to be, a user's. One whose standing
// is not certain is first taken, in its fate record, from whoever may still be
// at work on it.
func (s *Scaler) applyEnd(ctx context.Context, t task) result {
	x := t.session
	if t.from == staging.Claimed || t.from == "" {
		if r, final := s.fence(ctx, t); !final {
			return r
		}
	}
	// A session that Redis does not know is stopped all the same.
	r := transition(staging.Ending, s.Store.Finish(ctx, x.ID, "", t.step.Reason))
	if r.err == nil && (r.state == staging.Ending || r.lost) {
		r.state, r.lost, r.err = staging.Ending, false, s.Fleet.Stop(ctx, x)
	}
	return r
}

// fence makes a session's fate final before it is ended. settled is false when
// it turned out to be otherwise, or could not be known.
func (s *Scaler) fence(ctx context.Context, t task) (r result, final bool) {
	if t.fate.Verdict == staging.VerdictAssigned {
		if !t.fate.HookPending {
			return result{}, true
		}
		err := s.Registry.AbandonFate(ctx, t.fate, t.step.Reason)
		return result{err: err}, err == nil
	}
	_, decided, err := s.Registry.CreateFate(ctx, staging.Fate{
		Session: t.session.ID, Verdict: staging.VerdictRetired, Reason: t.step.Reason, DecidedAt: time.Now().UTC(),
	})
	if err != nil {
		return result{err: err}, false
	}
	return result{fate: &decided}, decided.Verdict == staging.VerdictRetired
}

func (s *Scaler) applyStage(ctx context.Context, t task) result {
	if _, err := s.Store.Record(ctx, t.session); err != nil {
		return result{gone: true, err: err, failure: &staging.Failure{
			Type: staging.RedisUnavailable, Message: "Redis did not take a session's record: " + err.Error(),
		}}
	}
	_, err := s.Fleet.Register(ctx, t.spec)
	if err == nil {
		return result{}
	}
	// Whether Nomad has the job is not always known: stop it, so that it cannot
	// run unseen. Should that fail too, the next full reading finds it.
	undo := errors.Join(s.Fleet.Stop(ctx, t.session), s.Store.Ended(ctx, t.session, "Nomad did not take its job"))
	if undo != nil {
		s.Log.WithError(undo).WithField(logfield.Session, t.session.ID).Warn("could not undo a session that could not be made")
	}
	failure := &staging.Failure{Type: staging.NomadUnavailable, Message: "Nomad did not take a job: " + err.Error()}
	var invalid *staging.InvalidError
	if errors.As(err, &invalid) {
		failure = &staging.Failure{Type: staging.ImageInvalid, Message: err.Error()}
	}
	return result{gone: true, failure: failure, err: err}
}

// applyRetire asks Redis first, which keeps launches from the session, then
// has its fate decided, and stops it only when both agreed.
func (s *Scaler) applyRetire(ctx context.Context, t task) result {
	x := t.session
	r := transition(staging.Retiring, s.Store.Retire(ctx, x, t.step.Reason))
	// A session that Redis does not know cannot be claimed through it; its fate decides.
	if r.err != nil || (r.state != staging.Retiring && !r.lost) {
		return r
	}
	r.state, r.lost = staging.Retiring, false
	won, decided, err := s.Registry.CreateFate(ctx, staging.Fate{
		Session: x.ID, Verdict: staging.VerdictRetired, Reason: t.step.Reason, DecidedAt: time.Now().UTC(),
	})
	if err != nil {
		r.err = err
		return r
	}
	r.fate = &decided
	if !won && decided.Verdict == staging.VerdictAssigned {
		return r
	}
	r.err = s.Fleet.Stop(ctx, x)
	return r
}

// applied folds a step's result into the view.
func (s *Scaler) applied(v *view, t task, r result) {
	e := v.sessions[t.session.ID]
	if e == nil {
		return
	}
	now := time.Now()
	e.busy, e.touchedAt = false, now
	log := s.Log.WithFields(logrus.Fields{
		logfield.Session: t.session.ID, logfield.Staging: t.pool, logfield.Step: t.step.Kind, logfield.Reason: t.step.Reason,
	})
	if e.request != "" {
		log.Data[logfield.RequestID] = e.request
	}
	switch {
	case r.err != nil:
		e.until = now.Add(retryPause)
		v.timed[e.s.ID] = e.until
		log.WithError(r.err).Warn("step failed")
	case t.step.Kind == Publish || t.step.Kind == Record:
		log.Debug("step done")
	default:
		log.Info("step done")
	}
	if p := v.pools[t.pool]; p != nil {
		if r.failure != nil && t.step.Kind == Stage {
			p.failed(r.failure, now)
		}
		if r.err != nil {
			p.wake = e.until
		}
	}
	// What a launch did meanwhile has been heard of already, or will be: this
	// result may only be older news than that.
	if r.state != "" && (e.s.State == "" || e.s.State.Unassigned() || r.state.Over()) && e.s.State != staging.Ended {
		e.s.State = r.state
	}
	if r.lost {
		e.s.State = ""
	}
	if r.state.Unassigned() && (t.step.Kind == End || t.step.Kind == ExpireKeepalive || t.step.Kind == Tag) {
		// Redis takes for unused what was a user's: it has been rolled back.
		e.s.State = r.state
		s.requestFleetResync()
	}
	switch {
	case t.step.Kind == FirstLaunch:
		v.firstLaunchDone(e, r, now)
	case r.stored != nil:
		v.setUserFacts(e, *r.stored)
		e.tagged = e.tagged || t.step.Kind == Tag && r.err == nil
		if t.step.Kind == ExpireKeepalive && e.s.State == staging.Assigned && !e.s.KeepaliveUntil().After(now) {
			// Redis's clock, which decides, is behind ours.
			e.until = now.Add(retryPause)
			v.timed[e.s.ID] = e.until
		}
	case e.s.State == t.from && r.err == nil && t.step.Kind != Stage:
		// It came to nothing, for a reason that only others can change: look again later.
		e.until = now.Add(retryPause)
		v.timed[e.s.ID] = e.until
	}
	if r.state == staging.Ended && e.endedNoticedAt.IsZero() {
		e.endedNoticedAt = now
	}
	if r.fate != nil {
		e.verdict, e.fate = r.fate.Verdict, *r.fate
	}
	v.updateMembership(e)
	v.markDirty(e)
	if r.gone {
		v.forget(e.s.ID)
		v.purged[e.s.ID] = now
	}
}
