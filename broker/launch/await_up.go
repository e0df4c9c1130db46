package launch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/internal/tracing"
)

// retryNoRoom is the hint for a launch that could not be placed: sessions end meanwhile.
const retryNoRoom = 10 * time.Second

// awaitUp waits until the session runs and its checks pass. The session is returned with
// what is known of it, also beside an error.
//
// Its placement is waited for under ctx, however short the caller's wait is: a session that cannot be placed must not be left, and the next zone must be tried.
func (l *launch) awaitUp(ctx, wait context.Context, s staging.Session, evalID string) (staging.Session, error) {
	place, cancel := context.WithTimeout(ctx, deadline.Nomad)
	defer cancel()
	place, span := tracing.Start(place, "place")
	placement, err := l.Fleet.Placement(place, s, evalID)
	span.End(err)
	if err != nil {
		return s, refusal.NoNomad(err)
	}
	if r := placement.Refused; r != nil {
		return s, &refusal.Error{
			Kind: refusal.NoCapacity, Detail: "it cannot be placed: " + r.Message,
			RetryAfter: retryNoRoom, Cause: errors.New(r.Message),
		}
	}
	s.State = staging.Starting
	running, span := tracing.Start(wait, "start")
	alloc, err := l.awaitRunning(running, s)
	span.End(err)
	if err != nil {
		return s, err
	}
	s.AllocID, s.NodeID, s.Address, s.Ports = alloc.ID, alloc.NodeID, alloc.Address, alloc.Ports
	healthy, span := tracing.Start(wait, "check")
	err = l.awaitHealthy(healthy, s)
	span.End(err)
	if err != nil {
		return s, err
	}
	// The checks may have been answered by another program that was left on the port.
	if _, err := l.awaitRunning(wait, s); err != nil {
		return s, err
	}
	s.ReadyAt = time.Now().UTC()
	return s, nil
}

// awaitRunning waits for the session's allocation to run.
func (l *launch) awaitRunning(ctx context.Context, s staging.Session) (staging.AllocFacts, error) {
	alloc, err := l.Fleet.WaitRunning(ctx, s)
	if err != nil {
		return alloc, refusal.NoNomad(err)
	}
	if alloc.Failure != nil || alloc.Over {
		return alloc, l.couldNotStart(ctx, s, alloc)
	}
	return alloc, nil
}

// awaitHealthy waits for the session's checks to pass or for its end, whichever comes
// first: a program that exits before it is healthy must not be waited for.
func (l *launch) awaitHealthy(ctx context.Context, s staging.Session) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		alloc, err := l.Fleet.WaitOver(ctx, s)
		if err == nil {
			err = l.couldNotStart(ctx, s, alloc)
		} else {
			err = refusal.NoNomad(err)
		}
		ended <- err
		cancel()
	}()
	err := l.Health.WaitPassing(ctx, s.Service(), s.ID)
	if err == nil {
		return nil
	}
	cancel()
	if end := <-ended; !errors.Is(end, context.Canceled) {
		return end
	}
	return refusal.NoConsul(err)
}

// couldNotStart says why a session that was placed ended before it was up, with the last words
// of its program.
func (l *launch) couldNotStart(ctx context.Context, s staging.Session, alloc staging.AllocFacts) *refusal.Error {
	why := "its allocation ended"
	if alloc.Failure != nil {
		why = alloc.Failure.Message
	} else if ended := l.recordedReason(ctx, s); ended != "" {
		why = ended
	}
	if alloc.FailedTask != "" {
		read, cancel := context.WithTimeout(context.WithoutCancel(ctx), deadline.LastLine)
		defer cancel()
		line, err := l.Fleet.LastLine(read, s, alloc, alloc.FailedTask)
		switch {
		case err != nil:
			l.Log.WithError(err).WithField(logfield.Session, s.ID).Debug("cannot read why a session's program ended; the refusal lacks its last line")
		case line != "":
			why += "; the last line of its stderr: " + line
		}
	}
	return &refusal.Error{
		Kind: refusal.LaunchFailed, Detail: fmt.Sprintf("session %s was placed and could not start: %s", s.ID, why), Cause: errors.New(why),
	}
}

// recordedReason returns why a session was ended, as it is recorded; "" if that is not known. The
// scaler ends one whose checks have not passed for too long, of which Nomad knows nothing.
func (l *launch) recordedReason(ctx context.Context, s staging.Session) string {
	// The wait may just be over; the read has its own deadline.
	now, err := l.Sessions.Session(context.WithoutCancel(ctx), s.ID)
	if err != nil || !now.State.Over() {
		return ""
	}
	return strings.TrimPrefix(strings.TrimPrefix(now.Reason, staging.ReasonFailed), staging.ReasonUnhealthy)
}
