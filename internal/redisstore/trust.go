package redisstore

import (
	"context"
	"errors"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// PlaceMarker writes the scaler's marker for a zone. It does not renew trust. A scaler that
// reads Redis after that and still finds the marker knows that Redis was not rolled back
// in between.
func (s *Store) PlaceMarker(ctx context.Context, zone, marker string) error {
	err := s.rdb.HSet(ctx, s.trustKey(zone), "mark", marker).Err()
	return callError(err, "place the scaler's marker of zone %s", zone)
}

// Trusted reports whether a scaler has renewed trust in Redis for the zone within
// TrustTTL.
func (s *Store) Trusted(ctx context.Context, zone string) (bool, error) {
	p := s.rdb.Pipeline()
	at, now := p.HGet(ctx, s.trustKey(zone), "at"), p.Time(ctx)
	if _, err := p.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return false, callError(err, "read the trust in zone %s", zone)
	}
	return now.Val().Sub(millis(at.Val())).Abs() <= staging.TrustTTL, nil
}

// RenewTrust makes claims in the zone use Redis for another TrustTTL, and replaces the
// marker. It returns false if the old marker is no longer there: Redis has lost or undone
// writes, and the scaler must read it again.
// With recent, the old marker must also be younger than TrustTTL. If it is older, the
// scaler was stopped for a while and does not know what happened in that time.
func (s *Store) RenewTrust(ctx context.Context, zone, oldMarker, newMarker string, recent bool) (renewed bool, err error) {
	maxAge := ""
	if recent {
		maxAge = strconv.FormatInt(staging.TrustTTL.Milliseconds(), 10)
	}
	renewed, err = renewTrustScript.Run(ctx, s.rdb, []string{s.trustKey(zone)}, oldMarker, newMarker, maxAge).Bool()
	return renewed, callError(err, "renew trust in zone %s", zone)
}
