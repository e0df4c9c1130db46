package scaler

import (
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// task is a step with everything needed to apply it, so that a worker never reads the
// view. Without a step it writes its report of a pool.
type task struct {
	step    Step
	session staging.Session
	// from is the session's state when the step was decided.
	from staging.State
	fate staging.Fate
	// spec is the job that Stage registers, hook the one that FirstLaunch, PreEnd or PreStop runs.
	spec staging.Spec
	hook staging.Hook
	// again is the assign hook that Reassign runs, nil for none; tries is how often it could
	// not be started.
	again *staging.Hook
	tries int
	// healthy is what NoteHealth notes.
	healthy bool
	// preStop: after an end its pre_stop hook has to run. end is, for PreEnd, the one that comes.
	preStop bool
	end     staging.End
	pool    string
	// limits are, for Stage, those that the session counts for.
	limits []staging.SessionLimit
	// pass is, for Stage, the pass that decided it.
	pass uint64
	// damaged is, for Quarantine, the state of a record in Redis that cannot be read.
	damaged staging.State
	// words are, for Retire and End, the last words that are read; nil for none.
	words *wordsOf
	// profile is, for RewriteFate, the lease that Consul may have lost with the fate.
	profile staging.ProfileLease
	// running is, for Restore, whether Nomad reported it running, also
	// if that has lost contact with its node since.
	running bool
	// zone is the zone whose lock must still be held when the step is applied.
	zone   string
	report report
}

const (
	// stepTimeout bounds one step, which makes at most three calls.
	stepTimeout = 20 * time.Second
	// retryPause is how long a session is left alone after a failed step.
	retryPause = 2 * time.Second
)

func (t task) timeout() time.Duration {
	switch {
	case t.step.Kind == FirstLaunch:
		return stepTimeout + t.hook.Deadline()
	case t.step.Kind == PreEnd, t.step.Kind == PreStop:
		return stepTimeout + t.hookTimeout()
	case t.again != nil:
		return stepTimeout + t.again.Deadline()
	}
	return stepTimeout
}

// hookTimeout bounds a hook that comes before an end: its own timeout, and the time to start it and to
// report its outcome.
func (t task) hookTimeout() time.Duration {
	return t.hook.Deadline() + t.hook.Deadline()/4 + 5*time.Second
}

// newTask returns the task of a step and makes the session busy until it is applied.
func (s *Scaler) newTask(v *view, e *entry, step Step, now time.Time) task {
	e.busy, e.touchedAt = true, now
	v.memberChanged(e)
	x := e.s
	if step.Kind == WarnEnd || step.Kind == PreEnd {
		x = v.withHooks(e)
	}
	x.Demoted = v.nodes[x.NodeID].draining
	if step.Kind == Record {
		x.State = staging.Pending
		if e.running {
			x.State = staging.Starting
		}
	}
	switch {
	case step.Kind == Assign && e.fate().Verdict == staging.VerdictAssigned && x.Origin == staging.Staged:
		x.Restarts = e.fate().Restarts
	case step.Kind == Assign, step.Kind == Publish, step.Kind == Record, step.Kind == FirstLaunch, step.Kind == Reassign:
		x.Restarts = e.restarts
	}
	t := task{step: step, session: x, damaged: e.damaged, running: e.running || !e.runningSince.IsZero(), from: e.s.State, fate: *e.fate(), pool: e.s.Staging, zone: zoneOf(e.s)}
	if h := v.firstLaunchHook(e); h != nil {
		t.hook = *h
	}
	switch step.Kind {
	case Retire:
		t.words = v.readsLastWords(e, step.Failure)
	case End:
		t.words = e.endsUnseen()
	}
	switch hook := v.preStopHook(e); {
	case step.Kind == PreEnd:
		t.hook = *x.Hooks.PreEnd
		t.end, _ = v.beforeEnd(e)
	case step.Kind == PreStop:
		t.hook = *hook
	case step.Kind == End, step.Kind.expires():
		t.preStop = hook != nil
	}
	if step.Kind == RewriteFate {
		t.profile = v.profileOf(e)
	}
	if step.Kind == NoteHealth {
		t.healthy = e.healthy()
	}
	if step.Kind == Reassign {
		t.again, t.tries = v.assignHook(e), e.reassignTries
	}
	return t
}

// newStageTask returns the task that makes a new session. The session gets its entry
// here, so that it counts as a member from this moment on.
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
	e.placement, e.narrowed, e.excludes = step.Placement, step.Placement.Narrowed(), len(step.Placement.ExceptNodes)
	v.updateMembership(e)
	step.Session = x.ID
	spec := staging.StagedSpec(x, image, zone, p.config)
	spec.Avoid, spec.Placement = v.avoid(image.Name, now), step.Placement
	return task{step: step, session: x, pass: v.pass, limits: v.resources.LimitsOf(useOf(x)), spec: spec, pool: p.config.Name, zone: p.config.Zone}
}
