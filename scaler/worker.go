package scaler

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// result is the outcome of a step.
type result struct {
	// state is the session's state after the step; "" when it is not known.
	state staging.State
	// notInRedis: Redis does not have the session.
	notInRedis bool
	// fate is set when the step learned the session's fate record.
	fate *staging.Fate
	// gone: nothing of the session is left, so its entry can be dropped.
	gone bool
	// lacked: Redis did not have a session whose fate record a restore of Consul lost.
	lacked bool
	// stored is the session as Redis has it, when the step read it.
	stored *staging.Session
	// failure is set when the session could not be made; it counts towards its pool's backoff.
	failure *staging.Failure
	// reached is the limit that kept a session from being made; nil for none.
	reached *staging.LimitReached
	// lastWords are what a session that failed left to read, as far as it could be read.
	lastWords staging.LastWords
	// prepared: a user's session is prepared for the start of its main task that the task's
	// session counts. untouched: its assign hook could not be started.
	prepared, untouched bool
	// preEndRan is the end for which a pre_end hook has run, preStopRan: a pre_stop hook has.
	preEndRan  time.Time
	preStopRan bool
	err        error
}

// errNotHeld: the zone's lock was lost between the decision and its application.
var errNotHeld = errors.New("this scaler no longer holds the zone's lock; the holder decides again")

// worker applies the tasks of one queue until ctx is done.
func (s *Scaler) worker(ctx context.Context, work <-chan task) {
	for {
		select {
		case <-ctx.Done():
			return
		case t := <-work:
			// A step that is already running is completed within its deadline, even
			// when the scaler is shutting down.
			c, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.timeout())
			switch t.step.Kind {
			case "":
				err := s.writeReport(c, t)
				s.post(ctx, func(v *view) {
					v.underWay--
					v.reportWritten(t.pool, err, time.Now())
				})
			default:
				result := result{err: errNotHeld, gone: t.step.Kind == Stage}
				if s.Locks.Held(t.zone) {
					result = s.apply(c, t)
				}
				if result.reached == nil {
					s.Meter.Step(t.step.Kind, result.err != nil)
				}
				s.post(ctx, func(v *view) {
					if t.queue() == workQueue {
						v.underWay--
					}
					s.applied(v, t, result)
				})
			}
			cancel()
		}
	}
}

// applied folds a step's result into the view.
func (s *Scaler) applied(v *view, t task, r result) {
	if t.words != nil {
		v.noteLastWords(t, r, time.Now())
	}
	e := v.sessions[t.session.ID]
	if e == nil {
		return
	}
	now := time.Now()
	e.busy, e.touchedAt = false, now
	if r.err != nil {
		v.retryAt(e, now.Add(retryPause))
	}
	s.logStep(e, t, r)
	if p := v.pools[t.pool]; p != nil {
		if r.failure != nil && t.step.Kind == Stage {
			p.failed(r.failure, now)
		}
		if t.step.Kind == Stage {
			p.staged(r, now)
		}
		if r.err != nil {
			p.wake = e.until
		}
	}
	// The event of a concurrent launch has arrived already or will arrive: this result
	// may be older than that event, so it does not overwrite a user's session.
	if r.state != "" && (e.s.State == "" || e.s.State.Unassigned() || r.state.Over()) && e.s.State != staging.Ended {
		e.s.State = r.state
	}
	if r.notInRedis {
		e.s.State = ""
	}
	switch {
	case r.err != nil:
	case t.step.Kind == Discard, t.step.Kind == Quarantine:
		e.damaged, e.damage = "", ""
	case t.step.Kind == Publish && r.state == staging.Ready, t.step.Kind == Assign && r.state == staging.Assigned:
		e.s.Restarts = t.session.Restarts
		if t.step.Kind == Publish {
			v.noteStart(e, now)
		}
	case t.step.Kind == Restore:
		// What Redis showed of its health is lost, too.
		e.s.Restarts, e.s.UnhealthySince = t.fate.Restarts, time.Time{}
	}
	e.preStopRan = e.preStopRan || r.preStopRan
	if !r.preEndRan.IsZero() {
		e.preEndRan = r.preEndRan
	}
	if (t.step.Kind == Withdraw || t.step.Kind == NoteRestart) && e.restarted() {
		v.refreshHealth(e, now)
		v.updateHealth(e, now)
	}
	if r.state.Unassigned() && (t.step.Kind == End || t.step.Kind == Tag || t.step.Kind.expires()) {
		// Redis calls a user's session unassigned: it was restored to an older state.
		e.s.State = r.state
		s.requestFleetResync()
	}
	switch {
	case t.step.Kind == FirstLaunch:
		v.firstLaunchDone(e, r, now)
	case t.step.Kind == Demote || t.step.Kind == Promote || t.step.Kind == Publish && r.state == staging.Ready:
		if r.err == nil {
			e.s.Demoted = t.session.Demoted
		}
	case t.step.Kind == NoteRestart && r.err == nil && r.state == staging.Assigned:
		e.restartNoted = true
	case t.step.Kind == NoteHealth && r.err == nil && r.state == staging.Assigned:
		e.s.UnhealthySince = time.Time{}
		if !t.healthy {
			e.s.UnhealthySince = now
		}
	case t.step.Kind == MakeRoom:
		e.makesRoom = ""
	case t.step.Kind == NoteRoom && r.err == nil && r.state == staging.Pending:
		e.roomNoted = strings.TrimPrefix(t.step.Reason, staging.ReasonWaitingForRoom)
	case t.step.Kind == Reassign && r.untouched:
		e.reassignTries++
	case r.prepared:
		e.s.Restarts, e.restartNoted, e.reassignTries = t.session.Restarts, false, 0
	case r.stored != nil:
		v.setUserFacts(e, *r.stored)
		if t.step.Kind == ReadClaim && r.err == nil {
			e.s.Claim, e.claimRead = r.stored.Claim, true
		}
		e.tagged = e.tagged || t.step.Kind == Tag && r.err == nil
		if t.step.Kind == PreEnd && r.preEndRan.IsZero() || t.step.Kind.expires() && e.s.State == staging.Assigned && expired(e.s, t.step.Kind, now) {
			// Redis's clock decides, and it is behind ours.
			v.retryAt(e, now.Add(retryPause))
		}
	case e.s.State == t.from && r.err == nil && t.step.Kind != Stage:
		// The step changed nothing, for a reason outside this scaler: retry later.
		v.retryAt(e, now.Add(retryPause))
	}
	if r.state == staging.Ended && e.endedNoticedAt.IsZero() {
		e.endedNoticedAt = now
	}
	if r.fate != nil {
		e.setFate(*r.fate, now)
	}
	v.updateMembership(e)
	v.markDirty(e)
	if r.lacked {
		v.noteRedisOlder()
	}
	if r.gone {
		v.forget(e.s.ID)
		v.purged[e.s.ID] = now
	}
}

// retryAt leaves a session alone until a time, and decides it again then.
func (v *view) retryAt(e *entry, at time.Time) {
	e.until = at
	v.timed[e.s.ID] = at
}

// logStep logs a step's result. The steps of a session's normal start log at debug.
func (s *Scaler) logStep(e *entry, t task, r result) {
	log := s.Log.WithFields(logrus.Fields{
		logfield.Session: t.session.ID, logfield.Staging: t.pool, logfield.Step: t.step.Kind, logfield.Reason: t.step.Reason,
	})
	if e.request != "" {
		log.Data[logfield.RequestID] = e.request
	}
	switch {
	case r.err != nil:
		log.WithError(r.err).Warn("step failed; retrying after a pause if it is still needed")
	case r.reached != nil:
		log.Debug("not staged: a limit of sessions is reached")
	case t.step.Kind == Publish || t.step.Kind == Record || t.step.Kind == ReadClaim || t.step.Kind == NoteRoom:
		log.Debug("step done")
	default:
		log.Info("step done")
	}
}
