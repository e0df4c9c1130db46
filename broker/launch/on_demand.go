package launch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/internal/tracing"
)

// onDemand makes a session for the launch's user in the first zone that can take it. Where
// none can, the error says why of each.
func (l *launch) onDemand(ctx context.Context) (staging.Session, error) {
	wait, cancel := context.WithDeadline(ctx, l.began.Add(l.Wait))
	defer cancel()
	wait, cancelWait := l.stopping.orDone(wait)
	defer cancelWait()
	if err := l.checkServers(ctx, false); err != nil {
		return staging.Session{}, err
	}
	if err := l.awaitProfile(ctx, wait); err != nil {
		return staging.Session{}, err
	}
	var mine turn
	defer func() { mine.done() }()
	zones := l.zones()
	// Room is waited for once every zone was tried: at once where there is only one.
	usable := len(slices.DeleteFunc(slices.Clone(zones), func(z zoneCandidate) bool { return z.skip != "" }))
	full := -1
	var refusals []zoneRefusal
	for _, z := range zones {
		if z.skip != "" {
			if !l.said(z) {
				l.attempt(staging.StepOnDemand, z.zone.Name, staging.OutcomeSkipped, z.skip)
			}
			refusals = append(refusals, zoneRefusal{zone: z.zone, skipped: z.skip, err: z.refusal()})
			continue
		}
		if l.stopping.now() {
			return staging.Session{}, brokerStops()
		}
		if z.zone.Peer != "" {
			// The turn is for what this broker makes itself.
			mine.done()
			sessions, err := l.cross(ctx, z.zone, staging.StepOnDemand)
			if err != nil {
				return staging.Session{}, err
			}
			if sessions != nil {
				return sessions[0], nil
			}
			refusals = append(refusals, zoneRefusal{zone: z.zone, err: l.notCrossed(z.zone.Name)})
			continue
		}
		if err := l.holdTurn(wait, &mine); err != nil {
			return staging.Session{}, err
		}
		room := l.roomWait(z.zone.Name)
		first := room
		if usable > 1 {
			first = 0
		}
		s, err := l.onDemandIn(ctx, wait, z.zone, first, mine)
		var e *refusal.Error
		if err == nil || !errors.As(err, &e) || !mayServeElsewhere(e) && !l.ownProfile(e) {
			return s, err
		}
		if l.ownProfile(e) {
			break
		}
		if full < 0 && room > 0 && cannotBePlaced(e) {
			full = len(refusals)
		}
		refusals = append(refusals, zoneRefusal{zone: z.zone, err: e})
	}
	if full >= 0 && usable > 1 {
		z := refusals[full].zone
		if err := l.holdTurn(wait, &mine); err != nil {
			return staging.Session{}, err
		}
		s, err := l.onDemandIn(ctx, wait, z, l.roomWait(z.Name), mine)
		if !cannotBePlaced(err) {
			return s, err
		}
		errors.As(err, &refusals[full].err)
	}
	return staging.Session{}, refusedEverywhere(refusals)
}

// said reports whether an attempt has said already why a zone is skipped.
func (l *launch) said(z zoneCandidate) bool {
	return slices.ContainsFunc(l.attempts, func(a staging.Attempt) bool { return a.Zone == z.zone.Name && a.Reason == z.skip })
}

// mayServeElsewhere reports whether another zone may do better.
func mayServeElsewhere(e *refusal.Error) bool {
	return e.Kind == refusal.NoCapacity || ofZone(e) || e.Kind == refusal.NomadUnavailable || e.Kind == refusal.LaunchFailed && !errors.Is(e, errEnded)
}

// ofZone reports whether a refusal is for a limit of sessions of the zone.
func ofZone(e *refusal.Error) bool {
	return e.Kind == refusal.SessionLimit && e.Limit != nil && e.Limit.Kind == staging.KindZone
}

// zoneRefusal is why a zone did not take a launch.
type zoneRefusal struct {
	zone    staging.Zone
	skipped string
	err     *refusal.Error
}

// refusedEverywhere joins the refusals of all zones in one error.
func refusedEverywhere(all []zoneRefusal) error {
	var reasons []string
	var last, full *refusal.Error
	for _, r := range all {
		if r.err == nil {
			reasons = append(reasons, r.skipped)
			continue
		}
		reasons = append(reasons, fmt.Sprintf("zone %s: %s", r.zone.Name, r.err.Detail))
		if last == nil || r.err.Kind != refusal.PeerUnavailable {
			last = r.err // of this region, where there is one
		}
		if r.err.Kind == refusal.NoCapacity {
			full = r.err
		}
	}
	switch {
	case last == nil:
		return staging.Invalid("launch", "zone", "cannot run this: %s", strings.Join(reasons, "; "))
	case full != nil:
		// Room may come; what is broken stays so.
		last = full
	}
	detail := "no session is ready and none can be made: " + strings.Join(reasons, "; ")
	return &refusal.Error{Kind: last.Kind, Detail: detail, RetryAfter: last.RetryAfter, Cause: last.Cause, Limit: last.Limit}
}

// onDemandIn makes a session in a zone and waits for it to be up. A session that is not up
// when wait is over is returned as it is; the scaler finishes it. One that no node can take
// waits for room up to room.
func (l *launch) onDemandIn(ctx, wait context.Context, zone staging.Zone, room time.Duration, mine turn) (made staging.Session, err error) {
	ctx, span := tracing.Start(ctx, "on_demand")
	defer func() { span.End(err) }()
	span.Set("greenroom.zone", zone.Name)
	wait = span.Within(wait)
	failed := func(reason string) {
		l.attempt(staging.StepOnDemand, zone.Name, staging.OutcomeFailed, reason)
	}
	spec, err := l.spec(zone)
	spec.Session.WaitForRoom = staging.Duration(room)
	if err != nil {
		failed(err.Error())
		return staging.Session{}, err
	}
	l.registerBy = time.Time{}
	if err := l.takeProfile(ctx, wait, spec.Session); err != nil {
		return staging.Session{}, err
	}
	if err := l.reserveMade(ctx, spec.Session); err != nil {
		l.attempt(staging.StepOnDemand, zone.Name, staging.OutcomeSkipped, reasonOf(err))
		l.freeProfile()
		return staging.Session{}, err
	}
	if spec.Session, err = l.begin(ctx, spec.Session); err != nil {
		l.freeProfile()
		return staging.Session{}, err
	}
	s := []staging.Session{spec.Session}
	_, lost, err := l.decide(ctx, s, false, 0)
	var held *staging.KeyHeldError
	if errors.As(err, &held) {
		l.freeProfile()
		l.destroyAll(ctx, s, "its launch was a repeat")
		return staging.Session{}, l.repeatOf(ctx, held.KeyHold)
	}
	if locked, ok := errors.AsType[*access.LockedError](err); ok {
		failed(err.Error())
		l.freeProfile()
		l.destroyAll(ctx, s, err.Error())
		return staging.Session{}, refusal.Locked(locked)
	}
	if isOutdated(err) {
		failed(err.Error())
		l.freeProfile()
		l.destroyAll(ctx, s, err.Error())
		return staging.Session{}, err
	}
	if err == nil && len(lost) > 0 {
		err = errors.New("a fresh session's fate was decided before it began")
	}
	if err != nil {
		l.consul.trip()
		failed("Consul did not record the assignment")
		l.freeProfile()
		l.destroyAll(ctx, s, "its assignment could not be recorded in Consul")
		return staging.Session{}, refusal.NoConsul(err)
	}
	up, err := l.make(ctx, wait, spec)
	switch {
	case err == nil:
		l.attempt(staging.StepOnDemand, zone.Name, staging.OutcomeServed, l.choice)
		assigned, err := l.markAssigned(ctx, up)
		if errors.Is(err, errEnded) {
			// It may have been ended before its job was registered.
			l.destroy(up, "it was ended while it was being made")
		}
		return assigned, err
	case wait.Err() != nil && !cannotBePlaced(err):
		if now, err := l.Sessions.Session(ctx, spec.Session.ID); err == nil && now.State.Over() {
			failed("the session was ended")
			l.destroy(up, "it was ended while it was being made")
			return staging.Session{}, endedMeanwhile()
		}
		why := fmt.Sprintf("not up within %s", l.Wait)
		if l.stopping.now() {
			why = "not up when its broker was stopped"
		}
		l.attempt(staging.StepOnDemand, zone.Name, staging.OutcomeStarting, l.withCheck(ctx, why, up))
		return up, nil
	case room > 0 && cannotBePlaced(err):
		refused, _ := errors.AsType[*refusal.Error](err)
		return l.awaitRoom(ctx, wait, up, mine, refused)
	}
	failed(reasonOf(err))
	l.destroyAll(ctx, s, staging.ReasonFailed+reasonOf(err))
	return staging.Session{}, err
}

// withCheck adds to a reason the check for which the session is failing, if there is one and
// Consul answers.
func (l *launch) withCheck(ctx context.Context, why string, s staging.Session) string {
	ctx, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	check, err := l.Health.FailingCheck(ctx, s)
	if err != nil || check == (staging.FailingCheck{}) {
		return why
	}
	return why + ": " + check.String()
}

// cannotBePlaced: the scheduler has refused the job, which more waiting does not change.
func cannotBePlaced(err error) bool {
	var e *refusal.Error
	return errors.As(err, &e) && e.Kind == refusal.NoCapacity
}

// spec is all that the session's job is made of in a zone.
func (l *launch) spec(zone staging.Zone) (staging.Spec, error) {
	hooks := l.image.ExecConfig
	s := staging.Session{
		ID: staging.NewSessionID(), State: staging.Pending, Origin: staging.OnDemand,
		Zone: zone.Name, Image: l.Image, Revision: staging.Revision(l.image, zone, l.settings.Permissions),
		Namespace: zone.Namespace, Region: zone.Region, CreatedAt: time.Now().UTC(),
		User: &l.User, Claim: l.claim.ID, Terms: l.claim.Terms, Hooks: &hooks,
		Permits: l.settings.Permissions.Permits(),
	}
	return staging.OnDemandSpec(s, l.in(zone.Name), l.image, zone, l.settings, l.RequestHost)
}

// begin records the session in Redis, under the launch's key.
func (l *launch) begin(ctx context.Context, s staging.Session) (staging.Session, error) {
	start := time.Now()
	redis, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	redis, span := tracing.Start(redis, "claim")
	span.Set("db.system.name", "redis")
	r, err := l.Store.Begin(redis, s, l.claim)
	span.End(err)
	l.timings.Claim += time.Since(start)
	if err != nil {
		// The fate record holds all that Redis would; the scaler restores it there.
		return s, l.admitWithoutRedis(ctx)
	}
	if err := l.refusedBy(ctx, r); err != nil {
		return s, err
	}
	return r.Sessions[0], nil
}

// make registers the session's job, waits until it is up, and runs its first_launch hook.
// The session is returned with what is known of it, also beside an error.
func (l *launch) make(ctx, wait context.Context, spec staging.Spec) (staging.Session, error) {
	s := spec.Session
	evalID, err := l.register(ctx, spec)
	if err != nil {
		return s, err
	}
	l.releaseReserved() // Nomad has the job
	s, err = l.awaitUp(ctx, wait, s, evalID)
	hook := l.image.ExecConfig.FirstLaunch
	if err != nil || hook == nil {
		return s, err
	}
	// Should the wait end first, the scaler runs the hook as well, and waits for this run.
	start := time.Now()
	hooked, span := hookSpan(wait, s, staging.HookFirstLaunch)
	err = l.Hooks.Run(hooked, s, staging.HookFirstLaunch, *hook, staging.Launch{})
	span.End(err)
	l.timings.Hook += time.Since(start)
	if err != nil && wait.Err() == nil {
		l.hookFailed(s, staging.HookFirstLaunch, err)
		err = &refusal.Error{Kind: refusal.LaunchFailed, Detail: fmt.Sprintf("session %s is up, and %v", s.ID, err), Cause: err}
	}
	return s, err
}

func (l *launch) register(ctx context.Context, spec staging.Spec) (evalID string, err error) {
	ctx, cancel := context.WithTimeout(ctx, deadline.Nomad)
	defer cancel()
	ctx, cancelLeased := l.whileLeased(ctx)
	defer cancelLeased()
	ctx, span := tracing.Start(ctx, "register")
	span.Set("greenroom.session", spec.Session.ID)
	evalID, err = l.Fleet.Register(ctx, spec)
	span.End(err)
	if err == nil {
		return evalID, nil
	}
	var invalid *staging.InvalidError
	if errors.As(err, &invalid) {
		l.freeProfile() // Nomad has no job of it
		return "", &refusal.Error{
			Kind: refusal.LaunchFailed, Cause: err,
			Detail: fmt.Sprintf("no job can be made of image %s for this user: %s", l.Image, invalid),
		}
	}
	l.keepReserved() // Nomad may have the job, or get it yet
	return "", refusal.NoNomad(err)
}

// reasonOf is the part of an error that attempts may show.
func reasonOf(err error) string {
	var e *refusal.Error
	if errors.As(err, &e) {
		return e.Detail
	}
	return err.Error()
}
