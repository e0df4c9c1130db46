package scaler

import (
	"context"
	"errors"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// applyTag reads a session's user and terms, which the event of its assignment does not
// contain. It changes nothing in Nomad: showInCatalog publishes the user.
func (s *Scaler) applyTag(ctx context.Context, t task) result {
	x, err := s.SessionStore.Session(ctx, t.session.ID)
	if errors.Is(err, staging.ErrNoSession) {
		return result{notInRedis: true}
	}
	if err != nil {
		return result{err: err}
	}
	return result{state: x.State, stored: &x}
}

// applyReadClaim reads which claim holds a session, which its event does not contain, and
// the fate record, with which the claim can be abandoned.
func (s *Scaler) applyReadClaim(ctx context.Context, t task) result {
	x, err := s.SessionStore.Session(ctx, t.session.ID)
	if errors.Is(err, staging.ErrNoSession) {
		return result{notInRedis: true}
	}
	if err != nil {
		return result{err: err}
	}
	r := result{state: x.State, stored: &x}
	fate, err := s.Registry.Fate(ctx, t.session.ID)
	switch {
	case err == nil:
		r.fate = &fate
	case !errors.Is(err, staging.ErrNoResource):
		r.err = err
	}
	return r
}

// expires reports whether a step ends a user's session by its terms, or warns the user of that, if
// Redis agrees.
func (k Kind) expires() bool {
	return k == ExpireKeepalive || k == ExpireIdle || k == ExpireUnvisited || k == ExpireLimit || k == WarnEnd
}

// expired reports whether a session is due for such a step, by the scaler's clock.
func expired(s staging.Session, k Kind, now time.Time) bool {
	due := map[Kind]time.Time{ExpireKeepalive: s.KeepaliveUntil(), ExpireIdle: s.IdleDue(), ExpireUnvisited: s.UnvisitedEndsAt(), ExpireLimit: s.EndsAt(), WarnEnd: endWarningDue(s)}[k]
	return !due.IsZero() && !due.After(now)
}

// applyExpiry ends a session by its terms, or warns its user. Redis decides whether it is time.
func (s *Scaler) applyExpiry(ctx context.Context, t task, expire func(context.Context, staging.Session) (staging.Session, error)) result {
	x, r, ok := s.assignedNow(ctx, t)
	if !ok {
		return r
	}
	x, err := expire(ctx, x)
	if errors.Is(err, staging.ErrNoSession) {
		return result{notInRedis: true}
	}
	if err != nil {
		return result{err: err}
	}
	r = result{state: x.State, stored: &x}
	if x.State == staging.Ending {
		r.err = s.stopUnlessHook(ctx, t)
	}
	return r
}
