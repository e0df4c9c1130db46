package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// onDemand makes a session for the launch's user and waits for it to be up. A
// session that is not up in time is given as it is; the scaler sees it home.
func (b *Broker) onDemand(ctx context.Context, l *launch) (staging.Session, error) {
	s, err := b.begin(ctx, l)
	if err != nil {
		return s, err
	}
	if _, won, err := b.decide(ctx, l, s, false); err != nil || !won {
		if err == nil {
			err = errors.New("a fresh session's fate was decided before it began")
		}
		b.attempt(l, staging.StepOnDemand, staging.OutcomeFailed, "Consul did not record the assignment")
		b.discard(l, s, "its assignment could not be recorded in Consul")
		return staging.Session{}, consulUnavailable(err)
	}
	evalID, err := b.register(ctx, l, s)
	if err != nil {
		return staging.Session{}, err
	}
	wait, cancel := context.WithTimeout(ctx, l.Wait)
	defer cancel()
	up, err := b.awaitUp(wait, l, s, evalID)
	switch {
	case err == nil:
		b.attempt(l, staging.StepOnDemand, staging.OutcomeServed, "")
		return b.assigned(ctx, l, up)
	case wait.Err() != nil:
		if now, err := b.Session(ctx, s.ID); err == nil && now.State.Over() {
			b.attempt(l, staging.StepOnDemand, staging.OutcomeFailed, "the session was ended")
			return staging.Session{}, endedMeanwhile()
		}
		b.attempt(l, staging.StepOnDemand, staging.OutcomeStarting, fmt.Sprintf("not up within %s", l.Wait))
		return up, nil
	}
	b.attempt(l, staging.StepOnDemand, staging.OutcomeFailed, reasonOf(err))
	b.discard(l, s, reasonOf(err))
	return staging.Session{}, err
}

// begin notes the session in Redis, under the launch's key.
func (b *Broker) begin(ctx context.Context, l *launch) (staging.Session, error) {
	s := staging.Session{
		ID: staging.NewSessionID(), State: staging.Pending, Origin: staging.OnDemand,
		Zone: l.Zone, Image: l.Image, Revision: staging.Revision(l.image, l.zone),
		Namespace: l.zone.Namespace, Region: l.zone.Region, CreatedAt: time.Now().UTC(),
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	r, err := b.Store.Begin(ctx, s, l.claim)
	if err != nil {
		return s, redisUnavailable(err)
	}
	switch r.Outcome {
	case staging.ClaimRepeat:
		return s, &repeatError{}
	case staging.ClaimKeyReused:
		return s, keyReused()
	}
	return r.Session, nil
}

func (b *Broker) register(ctx context.Context, l *launch, s staging.Session) (evalID string, err error) {
	ctx, cancel := context.WithTimeout(ctx, nomadTimeout)
	defer cancel()
	evalID, err = b.Fleet.Register(ctx, s, l.image, l.zone, l.Variables(s.ID))
	if err == nil {
		return evalID, nil
	}
	b.attempt(l, staging.StepOnDemand, staging.OutcomeFailed, err.Error())
	b.discard(l, s, "Nomad did not take its job: "+err.Error())
	var invalid *staging.InvalidError
	if errors.As(err, &invalid) {
		return "", &Error{
			Kind: LaunchFailed, Cause: err,
			Detail: fmt.Sprintf("Nomad refuses the jobspec of image %s: %s", l.Image, invalid),
		}
	}
	return "", nomadUnavailable(err)
}

// awaitUp waits until the session runs and its checks pass. The session is
// given with what is known of it, also beside an error.
func (b *Broker) awaitUp(ctx context.Context, l *launch, s staging.Session, evalID string) (staging.Session, error) {
	placement, err := b.Fleet.Placement(ctx, s, evalID)
	if err != nil {
		return s, nomadUnavailable(err)
	}
	if r := placement.Refused; r != nil {
		return s, &Error{
			Kind: NoCapacity, Detail: fmt.Sprintf("no session is ready and none can be placed: %s", r.Message),
			RetryAfter: 10 * time.Second, Cause: errors.New(r.Message),
		}
	}
	s.State = staging.Starting
	alloc, err := b.Fleet.WaitRunning(ctx, s)
	if err != nil {
		return s, nomadUnavailable(err)
	}
	if alloc.Failure != nil || alloc.Over {
		return s, couldNotStart(alloc)
	}
	s.AllocID, s.NodeID, s.Address, s.Ports = alloc.ID, alloc.NodeID, alloc.Address, alloc.Ports
	if err := b.awaitHealthy(ctx, s); err != nil {
		return s, err
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
			err = nomadUnavailable(err)
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
	return consulUnavailable(err)
}

// couldNotStart says why a session that was placed is over before it was up.
func couldNotStart(alloc staging.AllocFacts) *Error {
	why := "its allocation ended"
	if alloc.Failure != nil {
		why = alloc.Failure.Message
	}
	return &Error{
		Kind: LaunchFailed, Detail: "the session was placed and could not start: " + why, Cause: errors.New(why),
	}
}

// reasonOf is what of an error may be shown in attempts.
func reasonOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Detail
	}
	return err.Error()
}
