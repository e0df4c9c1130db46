package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// onDemand makes a session for the launch's user in the first of the places
// that can take it. Where none can, the error says why of each.
func (b *Broker) onDemand(ctx context.Context, l *launch, places []place) (staging.Session, error) {
	wait, cancel := context.WithDeadline(ctx, l.began.Add(l.Wait))
	defer cancel()
	if err := b.answers(ctx, false); err != nil {
		return staging.Session{}, err
	}
	if !b.onDemands.try() {
		b.attempt(l, staging.StepOnDemand, l.Zone, staging.OutcomeSkipped, "too many sessions are being made at once")
		return staging.Session{}, refusal.AtBound(b.o.Bounds.OnDemand, "sessions that are made on demand at once")
	}
	defer b.onDemands.free()
	var refusals []zoneRefusal
	for _, p := range places {
		if p.skip != "" {
			b.attempt(l, staging.StepOnDemand, p.zone.Name, staging.OutcomeSkipped, p.skip)
			refusals = append(refusals, zoneRefusal{zone: p.zone.Name, skipped: p.skip})
			continue
		}
		s, err := b.onDemandIn(ctx, wait, l, p.zone)
		var e *refusal.Error
		if err == nil || !errors.As(err, &e) || !elsewhere(e) {
			return s, err
		}
		refusals = append(refusals, zoneRefusal{zone: p.zone.Name, err: e})
	}
	return staging.Session{}, refusedByAll(l, refusals)
}

// elsewhere reports whether another zone may do better.
func elsewhere(e *refusal.Error) bool {
	return e.Kind == refusal.NoCapacity || e.Kind == refusal.NomadUnavailable || e.Kind == refusal.LaunchFailed && !errors.Is(e, errEnded)
}

// zoneRefusal is why a zone did not take a launch.
type zoneRefusal struct {
	zone    string
	skipped string
	err     *refusal.Error
}

// refused puts the refusals of all zones into one error.
func refusedByAll(l *launch, all []zoneRefusal) error {
	var reasons []string
	var last, full *refusal.Error
	for _, r := range all {
		if r.err == nil {
			reasons = append(reasons, r.skipped)
			continue
		}
		reasons = append(reasons, fmt.Sprintf("zone %s: %s", r.zone, r.err.Detail))
		last = r.err
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
	return &refusal.Error{Kind: last.Kind, Detail: detail, RetryAfter: last.RetryAfter, Cause: last.Cause}
}

// onDemandIn makes a session in a zone and waits for it to be up. A session
// that is not up when wait is over is given as it is; the scaler sees it home.
func (b *Broker) onDemandIn(ctx, wait context.Context, l *launch, zone staging.Zone) (staging.Session, error) {
	failed := func(reason string) {
		b.attempt(l, staging.StepOnDemand, zone.Name, staging.OutcomeFailed, reason)
	}
	spec, err := l.spec(zone)
	if err != nil {
		failed(err.Error())
		return staging.Session{}, err
	}
	if spec.Session, err = b.begin(ctx, l, spec.Session); err != nil {
		return staging.Session{}, err
	}
	s := spec.Session
	_, won, err := b.decide(ctx, l, s, false)
	var held *staging.KeyHeldError
	if errors.As(err, &held) {
		b.abandon(ctx, l, s, "its launch was a repeat")
		return staging.Session{}, b.repeatOf(ctx, l, held.KeyHold)
	}
	if err != nil || !won {
		if err == nil {
			err = errors.New("a fresh session's fate was decided before it began")
		}
		b.consul.raise()
		failed("Consul did not record the assignment")
		b.abandon(ctx, l, s, "its assignment could not be recorded in Consul")
		return staging.Session{}, refusal.NoConsul(err)
	}
	up, err := b.make(ctx, wait, l, spec)
	switch {
	case err == nil:
		b.attempt(l, staging.StepOnDemand, zone.Name, staging.OutcomeServed, "")
		return b.assigned(ctx, l, up)
	case wait.Err() != nil && !refusedToPlace(err):
		if now, err := b.Session(ctx, s.ID); err == nil && now.State.Over() {
			failed("the session was ended")
			return staging.Session{}, endedMeanwhile()
		}
		b.attempt(l, staging.StepOnDemand, zone.Name, staging.OutcomeStarting, fmt.Sprintf("not up within %s", l.Wait))
		return up, nil
	}
	failed(reasonOf(err))
	b.abandon(ctx, l, s, reasonOf(err))
	return staging.Session{}, err
}

// refusedToPlace: the scheduler has said no, which more waiting does not change.
func refusedToPlace(err error) bool {
	var e *refusal.Error
	return errors.As(err, &e) && e.Kind == refusal.NoCapacity
}

// spec is what the session is made of in a zone.
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

// begin notes the session in Redis, under the launch's key.
func (b *Broker) begin(ctx context.Context, l *launch, s staging.Session) (staging.Session, error) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	r, err := b.Store.Begin(ctx, s, l.claim)
	l.timings.Claim += time.Since(start)
	if err != nil {
		// Its fate record says all that Redis would have; the scaler notes it there
		// when it is back.
		return s, b.admitWithoutRedis(ctx, l)
	}
	if err := l.held(r); err != nil {
		return s, err
	}
	return r.Session, nil
}

// make registers the session's job, waits until it is up, and runs its
// first_launch hook. The session is given with what is known of it, also beside
// an error.
func (b *Broker) make(ctx, wait context.Context, l *launch, spec staging.Spec) (staging.Session, error) {
	s := spec.Session
	evalID, err := b.register(ctx, l, spec)
	if err != nil {
		return s, err
	}
	s, err = b.awaitUp(ctx, wait, s, evalID)
	hook := l.image.ExecConfig.FirstLaunch
	if err != nil || hook == nil {
		return s, err
	}
	// Should the wait end first, the scaler asks for the hook, too, which then
	// waits for this run of it.
	start := time.Now()
	err = b.Hooks.Run(wait, s, staging.HookFirstLaunch, *hook, staging.Launch{})
	l.timings.Hook += time.Since(start)
	if err != nil && wait.Err() == nil {
		b.hookFailed(l, s, staging.HookFirstLaunch, err)
		err = &refusal.Error{Kind: refusal.LaunchFailed, Detail: "the session is up, and " + err.Error(), Cause: err}
	}
	return s, err
}

func (b *Broker) register(ctx context.Context, l *launch, spec staging.Spec) (evalID string, err error) {
	ctx, cancel := context.WithTimeout(ctx, nomadTimeout)
	defer cancel()
	evalID, err = b.Fleet.Register(ctx, spec)
	if err == nil {
		return evalID, nil
	}
	var invalid *staging.InvalidError
	if errors.As(err, &invalid) {
		return "", &refusal.Error{
			Kind: refusal.LaunchFailed, Cause: err,
			Detail: fmt.Sprintf("no job can be made of image %s for this user: %s", l.Image, invalid),
		}
	}
	return "", refusal.NoNomad(err)
}

// awaitUp waits until the session runs and its checks pass. The session is
// given with what is known of it, also beside an error.
//
// Whether it can be placed is waited for however short the caller's wait is:
// what cannot must go on to the next zone, and not be left.
func (b *Broker) awaitUp(launch, ctx context.Context, s staging.Session, evalID string) (staging.Session, error) {
	place, cancel := context.WithTimeout(launch, nomadTimeout)
	defer cancel()
	placement, err := b.Fleet.Placement(place, s, evalID)
	if err != nil {
		return s, refusal.NoNomad(err)
	}
	if r := placement.Refused; r != nil {
		return s, &refusal.Error{
			Kind: refusal.NoCapacity, Detail: "it cannot be placed: " + r.Message,
			RetryAfter: 10 * time.Second, Cause: errors.New(r.Message),
		}
	}
	s.State = staging.Starting
	alloc, err := b.Fleet.WaitRunning(ctx, s)
	if err != nil {
		return s, refusal.NoNomad(err)
	}
	if alloc.Failure != nil || alloc.Over {
		return s, couldNotStart(alloc)
	}
	s.AllocID, s.NodeID, s.Address, s.Ports = alloc.ID, alloc.NodeID, alloc.Address, alloc.Ports
	if err := b.awaitHealthy(ctx, s); err != nil {
		return s, err
	}
	// What answered its checks may have been another program, left on its port.
	if alloc, err = b.Fleet.WaitRunning(ctx, s); err != nil {
		return s, refusal.NoNomad(err)
	}
	if alloc.Failure != nil || alloc.Over {
		return s, couldNotStart(alloc)
	}
	s.ReadyAt = time.Now().UTC()
	return s, nil
}

// awaitHealthy waits for the session's checks to pass or for its end, whichever
// comes first: a program that exits before it is healthy must not be waited for.
func (b *Broker) awaitHealthy(ctx context.Context, s staging.Session) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		alloc, err := b.Fleet.WaitOver(ctx, s)
		if err == nil {
			err = couldNotStart(alloc)
		} else {
			err = refusal.NoNomad(err)
		}
		ended <- err
		cancel()
	}()
	err := b.Health.WaitPassing(ctx, s.Service(), s.ID)
	if err == nil {
		return nil
	}
	cancel()
	if end := <-ended; !errors.Is(end, context.Canceled) {
		return end
	}
	return refusal.NoConsul(err)
}

// couldNotStart says why a session that was placed is over before it was up.
func couldNotStart(alloc staging.AllocFacts) *refusal.Error {
	why := "its allocation ended"
	if alloc.Failure != nil {
		why = alloc.Failure.Message
	}
	return &refusal.Error{
		Kind: refusal.LaunchFailed, Detail: "the session was placed and could not start: " + why, Cause: errors.New(why),
	}
}

// reasonOf is what of an error may be shown in attempts.
func reasonOf(err error) string {
	var e *refusal.Error
	if errors.As(err, &e) {
		return e.Detail
	}
	return err.Error()
}
