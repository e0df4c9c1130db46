package scaler

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// Brokers let Redis choose the session of a claim only while a scaler renews the trust
// in it. A Redis restored from yesterday's copy may call a session ready that a user had
// and that has ended since, together with its fate record.
//
// The scaler of a zone renews that trust as follows:
//
//  1. Before a resync of Redis it places a marker in the zone. If the last one was placed on
//     another server, such as a primary that a replica has replaced, the trust ends there.
//  2. It reads all of Redis, and corrects what Redis has wrong about the zone.
//  3. Once the zone is consistent, it replaces its marker every second, which is what
//     renews the trust. Each time its previous marker must still be there, the first
//     time the one from step 1. If it is not, Redis was wiped or restored meanwhile. With the
//     trust it notes which restore of Consul it knows of: brokers that know of a later one go
//     by Consul.

// trustState is what the loop passes to the goroutine that renews trust.
type trustState struct {
	// resync is the number of the Redis resync that the rest is based on, and restoredThrough the
	// restore of Consul.
	resync          int
	restoredThrough uint64
	// acting are the zones in which this scaler acts, consistent those of them in which
	// Redis calls no session ready that is not.
	acting, consistent []string
}

// trustSnapshot holds the newest trustState. It is safe for concurrent use.
type trustSnapshot struct {
	mu    sync.Mutex
	state trustState
}

func (t *trustSnapshot) store(state trustState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state = state
}

func (t *trustSnapshot) load() trustState {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state
}

// trustState returns the zones in which this scaler acts, and those of them in which
// Redis calls no session ready that is gone or a user's.
//
// Nomad must have been read once, and may be unreachable since: without it nothing is
// purged, so every fate record still exists. A consistent zone stays so until the next
// resync of Redis, because every later change to a session is made by this scaler or
// arrives as an event.
func (v *view) trustState() trustState {
	now := trustState{resync: v.resync, restoredThrough: v.generation.RestoredThrough}
	if !v.resourcesKnown {
		return now
	}
	var inconsistent map[string]bool
	for _, zone := range v.resources.ZoneNames() {
		if !v.acts(zone) {
			continue
		}
		now.acting = append(now.acting, zone)
		if !v.storeKnown || !v.fleetReadOnce {
			continue
		}
		if !v.consistent[zone] && inconsistent == nil {
			inconsistent = v.inconsistentZones()
		}
		if v.consistent[zone] || !inconsistent[zone] {
			v.consistent[zone] = true
			now.consistent = append(now.consistent, zone)
		}
	}
	slices.Sort(now.acting)
	slices.Sort(now.consistent)
	return now
}

// inconsistentZones returns the zones in which Redis calls a session ready that is not.
func (v *view) inconsistentZones() map[string]bool {
	inconsistent := map[string]bool{}
	for _, e := range v.sessions {
		if e.s.State == staging.Ready && (!e.pooled() || !e.hasJob || e.over()) {
			inconsistent[zoneOf(e.s)] = true
		}
		if e.s.Origin == staging.Staged && e.s.State == "" && e.lostFate && e.quarantine() != "" && !e.over() {
			// Until it is quarantined, whether Redis is an older copy is not known.
			inconsistent[zoneOf(e.s)] = true
		}
	}
	return inconsistent
}

// marker is a marker that this scaler placed in a zone, and that must still be there.
type marker struct {
	text string
	// renewed: a renewal since the last resync placed it, about a second ago. Otherwise
	// placeMarkers did, before that resync, and it may be older.
	renewed bool
}

// placeMarkers places a marker in each zone in which this scaler acts, and notes whether another
// server answers than before. It must run before Redis is read. A failure is only logged: a Redis that accepts no writes can
// still be read.
func (s *Scaler) placeMarkers(ctx context.Context) map[string]marker {
	markers, lost := map[string]marker{}, false
	for _, zone := range s.trustSnapshot.load().acting {
		if !s.Locks.Held(zone) {
			continue
		}
		text := staging.NewClaimID()
		elsewhere, err := s.placeMarker(ctx, zone, text)
		if err != nil {
			s.trustNotRenewed(ctx, zone, err)
			continue
		}
		lost = lost || elsewhere
		markers[zone] = marker{text: text}
	}
	if lost {
		s.noteOtherServer(ctx)
	}
	return markers
}

// placeMarker places a marker in a zone, and reports whether the last one was placed on another
// server.
func (s *Scaler) placeMarker(ctx context.Context, zone, text string) (elsewhere bool, err error) {
	if elsewhere, err = s.TrustStore.Elsewhere(ctx, zone); err != nil {
		return false, err
	}
	return elsewhere, s.TrustStore.PlaceMarker(ctx, zone, text)
}

// noteOtherServer notes that another server of Redis answers than before.
func (s *Scaler) noteOtherServer(ctx context.Context) {
	s.Log.Warn("another server of Redis answers, or it started again: it may lack the newest writes, which are read from Consul and Nomad")
	s.noteRedisLost(ctx)
}

// trustNotRenewed logs why. A call that ended because the scaler stops says nothing about Redis.
func (s *Scaler) trustNotRenewed(ctx context.Context, zone string, err error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	s.Log.WithError(err).WithField(logfield.Zone, zone).Warn("could not renew trust in Redis for a zone; claims use Consul until Redis accepts a write")
}

// errNoMarker: a zone in which this scaler acts had no marker before the resync of
// Redis. It can be placed now, and needs a new resync.
var errNoMarker = errors.New("the resync of redis began before the scaler acted in a zone")

// renewTrust renews the trust in Redis in each consistent zone, once the loop has
// applied the resync with that number. all is true when Redis is trusted in every zone
// in which this scaler acts, or accepts no writes. The error is errWiped when a marker
// is no longer there, and errNoMarker when there was none.
func (s *Scaler) renewTrust(ctx context.Context, resync int, markers map[string]marker) (all bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	now := s.trustSnapshot.load()
	if now.resync != resync {
		return false, nil
	}
	for _, zone := range now.consistent {
		if !s.Locks.Held(zone) {
			continue // another scaler may have renewed it, and Redis been restored, meanwhile
		}
		next := staging.NewClaimID()
		before, ok := markers[zone]
		if !ok {
			elsewhere, err := s.placeMarker(ctx, zone, next)
			if err != nil {
				s.trustNotRenewed(ctx, zone, err)
				return true, nil
			}
			if elsewhere {
				s.noteOtherServer(ctx)
			}
			return false, errNoMarker
		}
		renewed, err := s.TrustStore.RenewTrust(ctx, zone, staging.TrustRenewal{
			Before: before.text, Marker: next, Recent: before.renewed, RestoredThrough: now.restoredThrough,
		})
		switch {
		case err != nil:
			s.trustNotRenewed(ctx, zone, err)
			return true, nil
		case !renewed:
			return false, errWiped
		}
		markers[zone] = marker{text: next, renewed: true}
	}
	return len(now.consistent) == len(now.acting), nil
}
