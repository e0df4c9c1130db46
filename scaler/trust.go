package scaler

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// Redis is believed about which session to try only while a scaler vouches for it: a
// copy of its data from yesterday names as ready what was somebody's and is long over,
// fate record and all. So the scaler of a zone, when it has read all of Redis and set
// right what it says of the zone, leaves a mark there every second, and each time finds
// its last one first: the first time the one that it left before it began to read. Where
// it does not, Redis was wiped or put back meanwhile.

// standing is what the loop tells the goroutine that vouches.
type trustState struct {
	resync             int
	acting, consistent []string
}

// noticeboard is where it is told.
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

// standing says in which zones this scaler acts, and of which of them Redis calls no
// session ready that is not: it does not know of one that is gone, or somebody's.
//
// That Nomad has been read once is enough: while it is away nothing is purged, so
// that every fate record stands. Once a zone is right it stays so until Redis is read
// anew: what happens to a session from then on is the scaler's own doing, or is heard of.
func (v *view) trustState() trustState {
	now := trustState{resync: v.resync}
	if !v.resourcesKnown {
		return now
	}
	var wrong map[string]bool
	for zone := range v.resources.Zones {
		if !v.acts(zone) {
			continue
		}
		now.acting = append(now.acting, zone)
		if !v.storeKnown || !v.fleetReadOnce {
			continue
		}
		if !v.consistent[zone] && wrong == nil {
			wrong = v.inconsistentZones()
		}
		if v.consistent[zone] || !wrong[zone] {
			v.consistent[zone] = true
			now.consistent = append(now.consistent, zone)
		}
	}
	slices.Sort(now.acting)
	slices.Sort(now.consistent)
	return now
}

// wrong are the zones of which Redis calls a session ready that is not.
func (v *view) inconsistentZones() map[string]bool {
	wrong := map[string]bool{}
	for _, e := range v.sessions {
		if e.s.State == staging.Ready && (!e.pooled() || e.over()) {
			wrong[zoneOf(e.s)] = true
		}
	}
	return wrong
}

// marker is the mark that must be there.
type marker struct {
	text string
	// ours: this reading of Redis was vouched for with it, a second ago.
	renewed bool
}

// mark leaves a mark in each zone in which this scaler acts, before Redis is read. A
// Redis that takes no writes can be read all the same.
func (s *Scaler) placeMarkers(ctx context.Context) map[string]marker {
	markers := map[string]marker{}
	for _, zone := range s.trustSnapshot.load().acting {
		if !s.Locks.Held(zone) {
			continue
		}
		text := staging.NewClaimID()
		if err := s.Store.PlaceMarker(ctx, zone, text); err != nil {
			s.trustNotRenewed(zone, err)
			continue
		}
		markers[zone] = marker{text: text}
	}
	return markers
}

func (s *Scaler) trustNotRenewed(zone string, err error) {
	s.Log.WithError(err).WithField(logfield.Zone, zone).Warn("could not vouch for what Redis says of a zone; claims go by Consul until it takes a write")
}

// errNoMarker: in a zone in which this scaler acts no mark was left before Redis was
// read. It takes markers now, and must be read anew.
var errNoMarker = errors.New("this reading of redis began before the scaler acted in a zone")

// vouch leaves a mark in each zone that may be vouched for, once the loop knows what
// this reading of Redis found. all is true when that is every zone in which this scaler
// acts. errWiped says that a mark is not there any more.
func (s *Scaler) renewTrust(ctx context.Context, resync int, markers map[string]marker) (all bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	now := s.trustSnapshot.load()
	if now.resync != resync {
		return false, nil
	}
	for _, zone := range now.consistent {
		if !s.Locks.Held(zone) {
			continue // another may have vouched, and Redis been put back, meanwhile
		}
		next := staging.NewClaimID()
		before, ok := markers[zone]
		if !ok {
			if err := s.Store.PlaceMarker(ctx, zone, next); err != nil {
				s.trustNotRenewed(zone, err)
				return true, nil
			}
			return false, errNoMarker
		}
		renewed, err := s.Store.RenewTrust(ctx, zone, before.text, next, before.renewed)
		switch {
		case err != nil:
			s.trustNotRenewed(zone, err)
			return true, nil
		case !renewed:
			return false, errWiped
		}
		markers[zone] = marker{text: next, renewed: true}
	}
	return len(now.consistent) == len(now.acting), nil
}
