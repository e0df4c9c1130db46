package redisstore

import (
	"context"
	"errors"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// Mark leaves a scaler's mark in a zone, and vouches for nothing: who reads Redis next,
// and then finds it there still, knows that Redis was not put back meanwhile.
func (s *Store) PlaceMarker(ctx context.Context, zone, mark string) error {
	return s.rdb.HSet(ctx, s.trustKey(zone), "mark", mark).Err()
}

// Vouched reports whether a scaler has vouched of late for what Redis says of a zone.
func (s *Store) Trusted(ctx context.Context, zone string) (bool, error) {
	p := s.rdb.Pipeline()
	at, now := p.HGet(ctx, s.trustKey(zone), "at"), p.Time(ctx)
	if _, err := p.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return false, err
	}
	return now.Val().Sub(millis(at.Val())).Abs() <= staging.TrustTTL, nil
}

// Vouch notes that what Redis says of a zone is true now: for a while, claims believe
// it. noted is false when the mark before is not there any more: Redis has lost or
// undone what it knew, and must be read anew.
// With renew, the mark before must be recent, too: whoever left it has stood still
// otherwise, and does not know what happened meanwhile.
func (s *Store) RenewTrust(ctx context.Context, zone, before, mark string, renew bool) (noted bool, err error) {
	life := ""
	if renew {
		life = strconv.FormatInt(staging.TrustTTL.Milliseconds(), 10)
	}
	return renewTrustScript.Run(ctx, s.rdb, []string{s.trustKey(zone)}, before, mark, life).Bool()
}
