package redisstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

func (s *Store) installationKey() string { return s.o.Prefix + "installation" }
func (s *Store) foreignKey() string      { return s.o.Prefix + "foreign" }

// Installation returns the id of the installation that this part of Redis belongs to; ""
// if it belongs to none.
func (s *Store) Installation(ctx context.Context) (string, error) {
	id, err := s.rdb.Get(ctx, s.installationKey()).Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	return id, callError(err, "read the installation")
}

// Belongs makes this part of Redis belong to an installation, unless it belongs to another
// one. Redis may have been wiped, so callers repeat this. The error is a
// *staging.ForeignError if it belongs to another one.
func (s *Store) Belongs(ctx context.Context, to staging.Installation) error {
	// Read first: a Redis that refuses writes still shows whose it is.
	id, err := s.Installation(ctx)
	if err != nil || id == to.ID {
		return err
	}
	switch {
	case id == "":
		if _, err := s.rdb.SetNX(ctx, s.installationKey(), to.ID, 0).Result(); err != nil {
			return callError(err, "set the installation")
		}
		if id, err = s.Installation(ctx); err != nil || id == to.ID {
			return err
		}
	case to.Owns(id):
		// An administrator has taken over the other installation.
		return callError(s.rdb.Set(ctx, s.installationKey(), to.ID, 0).Err(), "set the installation")
	}
	return s.ForeignTo(id, to.ID)
}

// ForeignTo returns the error that this part of Redis belongs to another installation than
// ours; "" if Consul has none.
func (s *Store) ForeignTo(other, ours string) error {
	return &staging.ForeignError{Server: "Redis", At: fmt.Sprintf("keys %s*", s.o.Prefix), Installation: other, Ours: ours}
}

// SetForeign stores how many sessions of other installations run in Nomad.
func (s *Store) SetForeign(ctx context.Context, all []staging.Foreign) error {
	err := s.rdb.Set(ctx, s.foreignKey(), mustJSON(all), 0).Err()
	return callError(err, "store the sessions of other installations")
}

// Foreign returns what a scaler stored last with SetForeign.
func (s *Store) Foreign(ctx context.Context) ([]staging.Foreign, error) {
	text, err := s.rdb.Get(ctx, s.foreignKey()).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, callError(err, "read the sessions of other installations")
	}
	var all []staging.Foreign
	return all, callError(json.Unmarshal(text, &all), "parse the sessions of other installations")
}
