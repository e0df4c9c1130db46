package scaler

import (
	"context"
	"errors"

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

// applyExpireKeepalive ends a session whose keepalive has expired. Redis decides
// whether it has.
func (s *Scaler) applyExpireKeepalive(ctx context.Context, t task) result {
	x, err := s.AssignedStore.ExpireKeepalive(ctx, t.session)
	if errors.Is(err, staging.ErrNoSession) {
		return result{notInRedis: true}
	}
	if err != nil {
		return result{err: err}
	}
	r := result{state: x.State, stored: &x}
	if x.State == staging.Ending {
		r.err = s.Fleet.Stop(ctx, t.session)
	}
	return r
}
