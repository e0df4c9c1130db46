package scaler

import (
	"context"
	"errors"
	"time"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// apply carries out one step. It is the only place where the scaler changes anything
// outside itself, except for trust and conditions.
func (s *Scaler) apply(ctx context.Context, t task) result {
	x := t.session
	switch t.step.Kind {
	case Stage:
		return s.applyStage(ctx, t)
	case Record:
		state, err := s.SessionStore.Record(ctx, x)
		return result{state: state, notInRedis: err == nil && state == "", err: err}
	case Publish:
		return transition(staging.Ready, s.QueueStore.Publish(ctx, x))
	case Demote, Promote:
		state, err := s.QueueStore.Reorder(ctx, x)
		return result{state: state, notInRedis: err == nil && state == "", err: err}
	case Withdraw:
		return transition(staging.Starting, s.QueueStore.Withdraw(ctx, x))
	case Retire, MakeRoom:
		return s.applyRetire(ctx, t)
	case Assign:
		if t.fate.Claim != "" {
			x.Claim = t.fate.Claim
		}
		x.ExpiresAt = time.Time{} // only unassigned sessions expire
		_, err := s.SessionStore.Assign(ctx, x)
		return transition(staging.Assigned, err)
	case Restore:
		return s.applyRestore(ctx, t)
	case FirstLaunch:
		return s.applyFirstLaunch(ctx, t)
	case Tag:
		return s.applyTag(ctx, t)
	case NoteRestart:
		return s.applyRestarted(ctx, t)
	case Reassign:
		return s.applyReassign(ctx, t)
	case NoteHealth:
		return s.applyNoteHealth(ctx, t)
	case ExpireKeepalive:
		return s.applyExpiry(ctx, t, s.AssignedStore.ExpireKeepalive)
	case ExpireIdle:
		return s.applyExpiry(ctx, t, s.AssignedStore.ExpireIdle)
	case ExpireUnvisited:
		return s.applyExpiry(ctx, t, s.AssignedStore.ExpireUnvisited)
	case ExpireLimit:
		return s.applyExpiry(ctx, t, s.expireLimit)
	case WarnEnd:
		return s.applyExpiry(ctx, t, s.warnEnd)
	case PreEnd:
		return s.applyPreEnd(ctx, t)
	case PreStop:
		return s.applyPreStop(ctx, t)
	case End:
		return s.applyEnd(ctx, t)
	case ReadClaim:
		return s.applyReadClaim(ctx, t)
	case NoteRoom:
		return s.applyNoteRoom(ctx, t)
	case Stop:
		return result{err: s.Fleet.Stop(ctx, x)}
	case MarkEnded:
		return result{state: staging.Ended, err: s.SessionStore.Ended(ctx, x, t.step.Reason)}
	case Quarantine:
		return s.applyQuarantine(ctx, t)
	case Discard:
		err := s.QuarantineStore.Discard(ctx, x)
		return result{notInRedis: err == nil, err: err}
	case RewriteFate:
		return s.applyRewriteFate(ctx, t)
	case Purge:
		// The fate record goes last: it must exist while anything else of the session
		// might still be found.
		err := s.Fleet.Purge(ctx, x)
		if err == nil {
			err = s.Registry.DeleteFate(ctx, x.ID)
		}
		return result{gone: err == nil, err: err}
	}
	panic("scaler: no such step: " + string(t.step.Kind))
}

// transition returns the result of a store's transition to a state. A session that was
// in another state is no failure: the result holds that state.
func transition(to staging.State, err error) result {
	var other *staging.StateError
	if errors.As(err, &other) && !other.Fenced {
		return result{state: other.State, notInRedis: other.State == ""}
	}
	if err != nil {
		return result{err: err}
	}
	return result{state: to}
}

// applyStage records a new session in Redis and registers its job.
func (s *Scaler) applyStage(ctx context.Context, t task) result {
	generation, err := s.generations.of(ctx, t.pass, s.nextGeneration)
	if err != nil {
		return result{gone: true, err: err, failure: &staging.Failure{
			Type: staging.ConsulUnavailable, Message: "Consul did not store the generation of new sessions: " + causeOf(err).Error(),
		}}
	}
	t.session.Generation, t.spec.Session.Generation = generation, generation
	within, release, ended := s.reserve(ctx, t)
	if ended != nil {
		return *ended
	}
	defer release()
	if _, err := s.SessionStore.Record(ctx, t.session); err != nil {
		return result{gone: true, err: err, failure: &staging.Failure{
			Type: staging.RedisUnavailable, Message: "Redis did not store a new session: " + causeOf(err).Error(),
		}}
	}
	_, err = s.Fleet.Register(within, t.spec)
	if err == nil {
		return result{}
	}
	// Nomad may have the job in spite of the error: stop it, so that it cannot run
	// unnoticed. If that fails too, the next resync finds it.
	undo := errors.Join(s.Fleet.Stop(ctx, t.session), s.SessionStore.Ended(ctx, t.session, "Nomad did not accept its job"))
	if undo != nil {
		s.Log.WithError(undo).WithField(logfield.Session, t.session.ID).
			Warn("could not clean up a session whose job could not be registered; the next resync finds what is left")
	}
	failure := &staging.Failure{Type: staging.NomadUnavailable, Message: "Nomad did not accept a job: " + err.Error()}
	var invalid *staging.InvalidError
	if errors.As(err, &invalid) {
		failure = &staging.Failure{Type: staging.ImageInvalid, Message: err.Error()}
	}
	return result{gone: true, failure: failure, err: err}
}

// causeOf returns what err wraps, without the session's id that the failed call adds: a
// condition's message must not change with every session that fails for the same cause.
func causeOf(err error) error {
	if cause := errors.Unwrap(err); cause != nil {
		return cause
	}
	return err
}

// applyRetire retires a session in Redis first, which keeps launches from claiming it,
// then decides its fate, and stops its job only when both agree.
func (s *Scaler) applyRetire(ctx context.Context, t task) result {
	x, words := t.session, staging.LastWords{}
	if t.from != staging.Ready {
		words = s.lastWords(ctx, t)
	}
	r := transition(staging.Retiring, s.SessionStore.Retire(ctx, x, withLastWords(t.step.Reason, t.words, words)))
	if t.from == staging.Ready && r.err == nil {
		words = s.lastWords(ctx, t) // it has left its queue: no launch gets it meanwhile
	}
	r.lastWords = words
	// A session that is not in Redis cannot be claimed there: its fate record decides.
	if r.err != nil || (r.state != staging.Retiring && !r.notInRedis) {
		return r
	}
	r.state, r.notInRedis = staging.Retiring, false
	won, existing, err := s.createRetiredFate(ctx, t)
	if err != nil {
		r.err = err
		return r
	}
	r.fate = &existing
	if !won && existing.Verdict != staging.VerdictRetired {
		return r
	}
	s.noteFailed(ctx, t, words)
	r.err = s.Fleet.Stop(ctx, x)
	return r
}

// applyRestore writes a user's session back to Redis from its fate record.
func (s *Scaler) applyRestore(ctx context.Context, t task) result {
	x := t.fate.Given(t.session)
	switch {
	case t.fate.HookPending:
		x.State = staging.Claimed
	case x.Origin == staging.OnDemand && !t.running:
		x.State, x.AssignedAt = staging.Starting, time.Time{} // until it runs and is assigned
	case x.Origin == staging.OnDemand && t.session.AssignedAt.After(x.AssignedAt):
		x.AssignedAt = t.session.AssignedAt
	case x.Origin == staging.OnDemand && t.session.AssignedAt.IsZero():
		// Its user may have it for long, whatever its checks say now: a session that starts
		// would be ended while they fail, or are not known. The limit starts again.
		now, err := s.EventStore.Now(ctx)
		if err != nil {
			return result{err: err}
		}
		x.AssignedAt = now
	}
	state, err := s.SessionStore.Restore(ctx, x, t.fate)
	return result{state: state, err: err}
}

// applyEnd ends a session that is, or was to become, a user's. If its claim may still
// be in progress, its fate record is made final first, which fences off the claimer.
func (s *Scaler) applyEnd(ctx context.Context, t task) result {
	x := t.session
	if t.from == staging.Claimed || t.from == "" {
		if r, final := s.fence(ctx, t); !final {
			return r
		}
	}
	reason := withLastWords(t.step.Reason, t.words, s.lastWords(ctx, t))
	// A session that is not in Redis is stopped all the same.
	r := transition(staging.Ending, s.AssignedStore.Finish(ctx, x.ID, "", reason))
	if r.err == nil && (r.state == staging.Ending || r.notInRedis) {
		r.state, r.notInRedis, r.err = staging.Ending, false, s.stopUnlessHook(ctx, t)
	}
	return r
}

// fence makes a session's fate final before the session is ended. final is false when
// another fate was decided first or the outcome is unknown; r then holds what is known.
func (s *Scaler) fence(ctx context.Context, t task) (r result, final bool) {
	if t.fate.Verdict == staging.VerdictAssigned {
		if !t.fate.HookPending {
			return result{}, true
		}
		err := s.Registry.AbandonFate(ctx, t.fate, t.step.Reason)
		if err == nil {
			return result{}, true
		}
		// The claim may have been finished meanwhile: the next decision must know.
		r := result{err: err}
		if now, readErr := s.Registry.Fate(ctx, t.session.ID); readErr == nil {
			r.fate = &now
		}
		return r, false
	}
	_, existing, err := s.createRetiredFate(ctx, t)
	if err != nil {
		return result{err: err}, false
	}
	return result{fate: &existing}, existing.Verdict == staging.VerdictRetired
}

// createRetiredFate decides that a session is retired, unless its fate is decided already.
func (s *Scaler) createRetiredFate(ctx context.Context, t task) (won bool, existing staging.Fate, err error) {
	return s.Registry.CreateFate(ctx, staging.Fate{
		Session: t.session.ID, Verdict: staging.VerdictRetired, Reason: t.step.Reason, DecidedAt: time.Now().UTC(),
	})
}
