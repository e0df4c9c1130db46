package admin

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// SecretStore keeps the keys that brokers share in Consul.
type SecretStore interface {
	// RotateKeys gives each name a new key, or none; a *staging.InvalidError names the overlap.
	RotateKeys(ctx context.Context, names []string, now time.Time, overlap time.Duration) (staging.Rotation, error)
}

// Secrets administers the keys that sign sessions' tokens, logins, and links through gateways. It may be used
// concurrently.
type Secrets struct {
	store   SecretStore
	auditor Auditor
}

// signing are the names of the keys that are rotated together.
var signing = []string{staging.AccessSecret, access.LoginSecret, staging.GatewaySecret}

// Rotate makes new keys. What the older ones signed is accepted for the overlap; no session
// ends. Other brokers follow within a moment.
func (s *Secrets) Rotate(ctx context.Context, overlap staging.Duration) (staging.Rotation, error) {
	if err := staging.ValidateOverlap(overlap); err != nil {
		return staging.Rotation{}, err
	}
	write, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	done, err := s.store.RotateKeys(write, signing, time.Now().UTC().Truncate(time.Second), overlap.Std())
	if invalid, ok := errors.AsType[*staging.InvalidError](err); ok {
		return done, invalid
	}
	s.auditor.Changed(ctx, "keys", strings.Join(signing, ", "), nil, done, err)
	if err != nil {
		return done, refusal.NoConsul(err)
	}
	return done, nil
}
