package scaler

import (
	"context"
	"slices"
	"sync"

	"github.com/greenroom/greenroom/internal/staging"
)

// Redis is believed about which session to try only while a scaler vouches for it: a
// copy of its data from yesterday names as ready what was somebody's and is long over,
// fate record and all. So the scaler of a zone, when it has read all of Redis and set
// right what it says of the zone, leaves a mark there every second, and each time finds
// its last one first. Where it does not, Redis was wiped or put back meanwhile.

// zoneSet is what the loop tells the goroutine that vouches.
type zoneSet struct {
	mu      sync.Mutex
	reading int
	zones   []string
}

func (z *zoneSet) set(reading int, zones []string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.reading, z.zones = reading, zones
}

// get gives the zones, and by which reading of Redis.
func (z *zoneSet) get() (reading int, zones []string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.reading, z.zones
}

// vouchable are the zones in which this scaler acts and of which Redis calls no
// session ready that is not: it does not know of one that is gone, or somebody's.
//
// That Nomad has been read once is enough: while it is away nothing is purged, so
// that every fate record stands. Once a zone is right it stays so until Redis is read anew: what happens to a session
// from then on is the scaler's own doing, or is heard of.
func (v *view) vouchable() []string {
	if !v.resourcesKnown || !v.storeKnown || !v.fleetSeen {
		return nil
	}
	var zones, unsure []string
	for zone := range v.resources.Zones {
		switch {
		case !v.acts(zone):
		case v.right[zone]:
			zones = append(zones, zone)
		default:
			unsure = append(unsure, zone)
		}
	}
	if len(unsure) > 0 {
		wrong := v.wrong()
		for _, zone := range unsure {
			if !wrong[zone] {
				v.right[zone] = true
				zones = append(zones, zone)
			}
		}
	}
	slices.Sort(zones)
	return zones
}

// wrong are the zones of which Redis calls a session ready that is not.
func (v *view) wrong() map[string]bool {
	wrong := map[string]bool{}
	for _, e := range v.sessions {
		if e.s.State == staging.Ready && (!e.pooled() || e.over()) {
			wrong[zoneOf(e.s)] = true
		}
	}
	return wrong
}

// lastMark is the mark that must be there.
type lastMark struct {
	text string
	// ours: this reading of Redis was vouched for with it, a second ago.
	ours bool
}

// marks reads the marks of the zones that may be vouched for.
func (s *Scaler) marks(ctx context.Context) (map[string]lastMark, error) {
	marks := map[string]lastMark{}
	_, zones := s.vouchable.get()
	for _, zone := range zones {
		text, err := s.Store.Mark(ctx, zone)
		if err != nil {
			return nil, err
		}
		marks[zone] = lastMark{text: text}
	}
	return marks, nil
}

// vouch leaves a mark in each zone that may be vouched for, once the loop knows what
// this reading of Redis found. known is false when there is a zone whose mark was not
// read before Redis was: it must be read anew. errWiped says that a mark is not there
// any more.
func (s *Scaler) vouch(ctx context.Context, reading int, marks map[string]lastMark) (known bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	by, zones := s.vouchable.get()
	if by != reading {
		return true, nil
	}
	for _, zone := range zones {
		before, ok := marks[zone]
		if !ok {
			return false, nil
		}
		if !s.Locks.Held(zone) {
			continue // another may have vouched, and Redis been put back, meanwhile
		}
		mark := staging.NewClaimID()
		noted, err := s.Store.Vouch(ctx, zone, before.text, mark, before.ours)
		switch {
		case err != nil:
			s.Log.WithError(err).WithField(fieldZone, zone).Warn("could not vouch for what Redis says of a zone; claims go by Consul until it takes a write")
			return true, nil
		case !noted:
			return false, errWiped
		}
		marks[zone] = lastMark{text: mark, ours: true}
	}
	return true, nil
}
