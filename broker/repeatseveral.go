package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// awaitSeveral waits for the launch that holds the key and answers with its sessions.
func (b *Broker) awaitSeveral(ctx context.Context, l *launch) ([]LaunchResult, error) {
	ctx, cancel := context.WithTimeout(ctx, l.Wait+repeatGrace)
	defer cancel()
	poll := time.NewTicker(repeatPoll)
	defer poll.Stop()
	for {
		r, err := b.Store.KeyHolder(ctx, l.IdempotencyKey)
		switch {
		case ctx.Err() != nil:
			return nil, keyInFlight()
		case err != nil:
			return nil, refusal.NoRedis(err)
		case r.Outcome == staging.ClaimEmpty:
			return nil, errKeyFree
		}
		all, err := b.severalOf(ctx, l, r)
		switch {
		case err != nil:
			return nil, err
		case len(all) > 0:
			return b.repeatedSeveral(l, all), nil
		}
		select {
		case <-ctx.Done():
			return nil, keyInFlight()
		case <-poll.C:
		}
	}
}

// severalOf reads the sessions of the launch that holds the key, once all of them are
// its user's; none and no error means that it is under way.
func (b *Broker) severalOf(ctx context.Context, l *launch, r staging.ClaimResult) ([]staging.Session, error) {
	var all []staging.Session
	for _, id := range r.Several {
		s, err := b.Session(ctx, id)
		var e *refusal.Error
		switch {
		case errors.As(err, &e) && e.Kind == refusal.NotFound:
			// Redis does not know all of them, or has forgotten what has ended: Consul knows.
			return b.severalRecorded(ctx, l, r)
		case err != nil:
			return nil, err
		case s.State.Over() && r.Done:
			return nil, severalEnded(s)
		case s.State.Over():
			// That launch failed, or its broker died; its key is free for another try.
			if err := b.Store.Release(ctx, l.IdempotencyKey, r.Session.Claim, r.Session.ID); err != nil {
				return nil, refusal.NoRedis(err)
			}
			return nil, errKeyFree
		case s.State != staging.Assigned:
			return nil, nil
		}
		all = append(all, s)
	}
	return all, nil
}

// severalRecorded finds the sessions by their fates.
func (b *Broker) severalRecorded(ctx context.Context, l *launch, r staging.ClaimResult) ([]staging.Session, error) {
	err := b.repeatOf(ctx, l, staging.KeyHold{Claim: r.Session.Claim, Fingerprint: l.claim.Fingerprint, Session: r.Session.ID})
	var served *servedError
	if errors.As(err, &served) {
		return served.sessions, nil
	}
	return nil, err
}

// unlessServed gives the refusal of a launch that took no sessions, or, where Consul
// says that its key is an earlier launch's, that one's: Redis may have forgotten it.
func (b *Broker) unlessServed(ctx context.Context, l *launch, refused error) error {
	var e *refusal.Error
	if l.IdempotencyKey == "" || !errors.As(refused, &e) || e.Kind == refusal.KeyReused {
		return refused
	}
	read, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	hold, err := b.Registry.Key(read, l.IdempotencyKey)
	if err != nil || hold.Claim == l.claim.ID {
		return refused // nobody's, or not to be known: the refusal stands, and takes nothing
	}
	return b.repeatOf(ctx, l, hold)
}

func severalEnded(s staging.Session) *refusal.Error {
	return &refusal.Error{
		Kind:   refusal.KeyReused,
		Detail: fmt.Sprintf("session %s of this Idempotency-Key is %s, so that not all of them are there; launch anew with a fresh key", s.ID, s.State),
	}
}

// repeatedSeveral answers with the sessions of an earlier launch.
func (b *Broker) repeatedSeveral(l *launch, all []staging.Session) []LaunchResult {
	results := make([]LaunchResult, len(all))
	for i, s := range all {
		l.attempts = nil
		results[i] = b.repeated(l, s, false)
	}
	return results
}
