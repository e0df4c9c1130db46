package scaler

import (
	"maps"
	"slices"
	"time"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// takeoverDelay is how long a zone is only observed after its lock was taken: the last
// actions of its previous holder may not have arrived here yet.
const takeoverDelay = time.Second

// zoneOf returns the zone whose lock holder handles a session.
func zoneOf(s staging.Session) string {
	if s.Zone == "" {
		return staging.UnplacedZone
	}
	return s.Zone
}

// acts reports whether this scaler acts in a zone.
func (v *view) acts(zone string) bool { return v.acting[zone] }

// followLocks wants the locks of all zones that exist or still have sessions. It starts
// to act in a zone a moment after its lock was taken, and stops at once when the lock
// is lost.
func (s *Scaler) followLocks(v *view, now time.Time) {
	want := map[string]bool{staging.UnplacedZone: true}
	for _, name := range v.resources.ZoneNames() {
		want[name] = true
	}
	for _, p := range v.pools {
		want[p.config.Zone] = true
	}
	maps.Copy(want, v.sessionZones)
	if !maps.Equal(want, v.wantedLocks) {
		v.wantedLocks = want
		s.Locks.Want(slices.Sorted(maps.Keys(want)))
	}
	for zone := range want {
		held, since := s.Locks.Held(zone), v.heldSince[zone]
		switch {
		case !held && since.IsZero():
		case !held:
			delete(v.heldSince, zone)
			v.watchesStale = true
			delete(v.acting, zone)
			v.deniedStale = true
			s.Log.WithField(logfield.Zone, zone).Warn("lost a zone's lock: another scaler holds it, or Consul is unreachable; no more action in the zone")
		case since.IsZero():
			v.heldSince[zone] = now
			v.watchesStale = true
			// The fates written since the last resync are not known yet.
			s.requestFleetResync()
		case !v.acting[zone] && now.Sub(since) >= takeoverDelay:
			v.acting[zone] = true
			v.deniedStale = true
			s.Log.WithField(logfield.Zone, zone).Info("holding a zone's lock: this scaler acts in the zone now")
			v.markZoneDirty(zone)
		}
	}
	// Also removes pools whose config moved them to a zone of another scaler.
	for name, p := range v.pools {
		if v.acts(p.config.Zone) {
			continue
		}
		p.reported = nil
		if p.shown {
			// Once: to remove a pool's metrics, all that there are must be looked at.
			p.shown = false
			s.Meter.PoolGone(name)
			s.Board.Gone(name)
		}
	}
	s.countDenied(v)
	s.Meter.Zones(want, v.acting)
	s.Board.Holds(v.acting, v.inSync())
}

// markZoneDirty marks all pools and sessions of a zone to be decided again.
func (v *view) markZoneDirty(zone string) {
	for name, p := range v.pools {
		if p.config.Zone == zone {
			v.dirtyPools[name] = true
		}
	}
	for id, e := range v.sessions {
		if zoneOf(e.s) == zone {
			v.dirtySessions[id] = true
		}
	}
}
