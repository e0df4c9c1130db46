package redisstore

import (
	"context"
	"math"
	"strconv"

	"github.com/greenroom/greenroom/internal/staging"
)

// The answers of the script trusted.
const (
	trusted          = "trusted"
	trustedElsewhere = "elsewhere"
)

// PlaceMarker writes the scaler's marker for a zone. It does not renew trust. A scaler that
// reads Redis after that and still finds the marker knows that Redis was not rolled back
// in between. On another server than the one on which the last was placed, it ends the trust.
func (s *Store) PlaceMarker(ctx context.Context, zone, marker string) error {
	err := placeMarkerScript.Run(ctx, s.rdb, []string{s.trustKey(zone)}, marker).Err()
	return callError(err, "place the scaler's marker of zone %s", zone)
}

// RestoreUnknown is a restore of Consul that no scaler knows of: with it Redis is not trusted.
const RestoreUnknown = math.MaxInt64

// NoteRestored tells the store of the newest restore of Consul, by the generation through which
// it lost fate records (staging.Generation). Redis is trusted where the scaler that renewed the
// trust knew of it: an older copy of Redis calls sessions unused that were given before the
// restore, and no record is left to say so.
func (s *Store) NoteRestored(through uint64) { s.restoredThrough.Store(through) }

// Trusted reports whether a scaler has renewed trust in Redis for the zone within
// TrustTTL, on the server that answers, and knew of the newest restore of Consul.
func (s *Store) Trusted(ctx context.Context, zone string) (bool, error) {
	state, err := s.trustIn(ctx, zone)
	return state == trusted, err
}

// Elsewhere reports whether the zone's last marker was placed on another server than the one that
// answers, which may lack that server's newest writes.
func (s *Store) Elsewhere(ctx context.Context, zone string) (bool, error) {
	state, err := s.trustIn(ctx, zone)
	return state == trustedElsewhere, err
}

// trustIn returns the answer of the script trusted for a zone.
func (s *Store) trustIn(ctx context.Context, zone string) (string, error) {
	state, err := s.run(ctx, trustedScript, []string{s.trustKey(zone)}, staging.TrustTTL.Milliseconds(), s.restoredThrough.Load()).Text()
	return state, callError(err, "read the trust in zone %s", zone)
}

// RenewTrust makes claims in the zone use Redis for another TrustTTL, and replaces the
// marker. It returns false if the old marker is no longer there: Redis has lost or undone
// writes, and the scaler must read it again; likewise if another server answers than the one
// on which it was placed, which may lack writes.
func (s *Store) RenewTrust(ctx context.Context, zone string, r staging.TrustRenewal) (renewed bool, err error) {
	maxAge := ""
	if r.Recent {
		maxAge = strconv.FormatInt(staging.TrustTTL.Milliseconds(), 10)
	}
	renewed, err = renewTrustScript.Run(ctx, s.rdb, []string{s.trustKey(zone)}, r.Before, r.Marker, maxAge, r.RestoredThrough).Bool()
	return renewed, callError(err, "renew trust in zone %s", zone)
}
