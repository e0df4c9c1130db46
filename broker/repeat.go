package broker

import (
	"context"
	"errors"
	"time"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// repeatError says that another launch holds this one's Idempotency-Key.
type repeatError struct{}

func (*repeatError) Error() string { return "another launch holds the idempotency key" }

// errKeyFree: the launch that held the key gave no session, so this one may try.
var errKeyFree = errors.New("the idempotency key is free again")

func keyReused() *refusal.Error {
	return &refusal.Error{
		Kind:   refusal.KeyReused,
		Detail: "this Idempotency-Key was used for a launch with another body; use a fresh key for another launch",
	}
}

func keyInFlight() *refusal.Error {
	return &refusal.Error{
		Kind: refusal.KeyInFlight, RetryAfter: time.Second,
		Detail: "a launch with this Idempotency-Key is still under way; repeat it to get its session",
	}
}

func keyEnded() *refusal.Error {
	return &refusal.Error{Kind: refusal.KeyReused, Detail: "the session of this Idempotency-Key has ended; launch anew with a fresh key"}
}

// Of a repeat that waits for the first launch: how often it looks, and how long
// beyond an on-demand session's wait.
const (
	repeatPoll  = 20 * time.Millisecond
	repeatGrace = 10 * time.Second
)

// awaitRepeat waits for the launch that holds the key and answers with its
// session, however that launch came to it.
func (b *Broker) awaitRepeat(ctx context.Context, l *launch) (LaunchResult, error) {
	ctx, cancel := context.WithTimeout(ctx, l.Wait+repeatGrace)
	defer cancel()
	patience := time.NewTimer(l.Wait)
	defer patience.Stop()
	poll := time.NewTicker(repeatPoll)
	defer poll.Stop()
	impatient := false
	for {
		r, err := b.Store.KeyHolder(ctx, l.IdempotencyKey)
		if ctx.Err() != nil {
			return LaunchResult{}, keyInFlight()
		}
		if err != nil {
			return LaunchResult{}, refusal.NoRedis(err)
		}
		if r.Outcome == staging.ClaimEmpty {
			return LaunchResult{}, errKeyFree
		}
		if r.Session.ID != "" {
			s, err := b.Session(ctx, r.Session.ID)
			if err != nil {
				return LaunchResult{}, err
			}
			if !r.Done && s.State.Over() {
				// That launch failed, or its broker died; its key is free for another try.
				if err := b.Store.Release(ctx, l.IdempotencyKey, r.Session.Claim, s.ID); err != nil {
					return LaunchResult{}, refusal.NoRedis(err)
				}
				return LaunchResult{}, errKeyFree
			}
			// A session that is on demand and not up is an answer once the
			// caller's wait is over; a claimed one is none until it is assigned.
			// A session that the user had is an answer only when its go hook has run.
			existing := r.Session.Claim != "" && r.Session.Claim != s.Claim
			if r.Done || s.State == staging.Assigned && !existing || (impatient && s.Origin == staging.OnDemand && !s.State.Over()) {
				if s.State.Over() {
					return LaunchResult{}, keyEnded()
				}
				return b.repeated(l, s, existing), nil
			}
		}
		select {
		case <-ctx.Done():
			return LaunchResult{}, keyInFlight()
		case <-patience.C:
			impatient = true
		case <-poll.C:
		}
	}
}

// rebind gives the launch's key back to the earlier launch, of which Redis did not know.
func (b *Broker) rebind(ctx context.Context, l *launch, given []staging.Session) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	var several []string
	if len(given) > 1 {
		several = idsOf(given)
	}
	if err := b.Store.Rebind(ctx, l.IdempotencyKey, l.claim, given[0], several...); err != nil {
		l.log().WithError(err).Warn("could not bind the idempotency key to its session again; the next repeat asks Consul")
	}
}

func (b *Broker) repeated(l *launch, s staging.Session, existing bool) LaunchResult {
	outcome := staging.OutcomeServed
	if s.State != staging.Assigned {
		outcome = staging.OutcomeStarting
	}
	step := staging.Step(s.Origin)
	if existing {
		step = staging.StepExisting
	}
	b.attempt(l, step, s.Zone, outcome, "the session of an earlier launch with this Idempotency-Key")
	return l.result(s)
}
