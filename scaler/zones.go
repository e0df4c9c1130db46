package scaler

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// Locks say which zones are this scaler's to act in: one lock for each, so that
// several scalers share the zones and take over from each other.
type Locks interface {
	// Want says which locks are wanted from now on.
	Want(zones []string)
	// Held reports whether a zone's lock is surely held now.
	Held(zone string) bool
}

// unplaced is the lock for sessions whose zone is not known. No zone is called
// so: it is no DNS label.
const unplaced = "_unplaced"

// settling is how long a zone is only watched after its lock was taken: what
// the last holder did in its last moment may still be on its way to us.
const takeoverDelay = time.Second

// errNotHeld: the zone was lost between the decision and its application.
var errNotHeld = errors.New("the zone is another scaler's now")

// zoneOf is the zone whose holder sees to a session.
func zoneOf(s staging.Session) string {
	if s.Zone == "" {
		return unplaced
	}
	return s.Zone
}

// acts reports whether this scaler acts in a zone.
func (v *view) acts(zone string) bool { return v.acting[zone] }

// shareZones follows the locks: it wants those of every zone that there is or
// was, begins to act in a zone a moment after its lock was taken, and stops at
// once when it is lost.
func (s *Scaler) followLocks(v *view, now time.Time) {
	want := map[string]bool{unplaced: true}
	for name := range v.resources.Zones {
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
			delete(v.acting, zone)
			s.Log.WithField(logfield.Zone, zone).Warn("zone lost: another scaler has its lock, or Consul cannot be asked")
		case since.IsZero():
			v.heldSince[zone] = now
			// The fates of the last minute are not known yet.
			s.requestFleetResync()
		case !v.acting[zone] && now.Sub(since) >= takeoverDelay:
			v.acting[zone] = true
			s.Log.WithField(logfield.Zone, zone).Info("zone taken: this scaler acts in it")
			v.markZoneDirty(zone)
		}
	}
	// Also those that were moved to a zone of another scaler's.
	for name, p := range v.pools {
		if !v.acts(p.config.Zone) {
			p.reported = nil
			s.Meter.PoolGone(name)
			s.Board.Gone(name)
		}
	}
	s.Meter.Zones(want, v.acting)
	s.Board.Holds(v.acting, v.inSync())
}

// touchZone marks everything of a zone to be decided anew.
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
