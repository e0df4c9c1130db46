package scaler

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/greenroom/greenroom/internal/staging"
)

// Redis is believed about which session to try only while a scaler vouches for it: a
// copy of its data from yesterday names as ready what was somebody's and is long over,
// fate record and all. So the scaler of a zone, when it has read all of Redis and set
// right what it says of the zone, leaves a mark there every second, and each time finds
// its last one first: the first time the one that it left before it began to read. Where
// it does not, Redis was wiped or put back meanwhile.

// standing is what the loop tells the goroutine that vouches.
type standing struct {
	// reading is the reading of Redis that it goes by; right are the zones of which that
	// one says the truth, acting all those in which this scaler acts.
	reading       int
	acting, right []string
}

// noticeboard is where it is told.
type noticeboard struct {
	mu  sync.Mutex
	now standing
}

func (n *noticeboard) set(now standing) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.now = now
}

func (n *noticeboard) get() standing {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.now
}

// standing says in which zones this scaler acts, and of which of them Redis calls no
// session ready that is not: it does not know of one that is gone, or somebody's.
//
// That Nomad has been read once is enough: while it is away nothing is purged, so
// that every fate record stands. Once a zone is right it stays so until Redis is read
// anew: what happens to a session from then on is the scaler's own doing, or is heard of.
func (v *view) standing() standing {
	now := standing{reading: v.reading}
	if !v.resourcesKnown {
		return now
	}
	var wrong map[string]bool
	for zone := range v.resources.Zones {
		if !v.acts(zone) {
			continue
		}
		now.acting = append(now.acting, zone)
		if !v.storeKnown || !v.fleetSeen {
			continue
		}
		if !v.right[zone] && wrong == nil {
			wrong = v.wrong()
		}
		if v.right[zone] || !wrong[zone] {
			v.right[zone] = true
			now.right = append(now.right, zone)
		}
	}
	slices.Sort(now.acting)
	slices.Sort(now.right)
	return now
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

// mark leaves a mark in each zone in which this scaler acts, before Redis is read. A
// Redis that takes no writes can be read all the same.
func (s *Scaler) mark(ctx context.Context) map[string]lastMark {
	marks := map[string]lastMark{}
	for _, zone := range s.told.get().acting {
		if !s.Locks.Held(zone) {
			continue
		}
		text := staging.NewClaimID()
		if err := s.Store.PlaceMarker(ctx, zone, text); err != nil {
			s.cannotVouch(zone, err)
			continue
		}
		marks[zone] = lastMark{text: text}
	}
	return marks
}

func (s *Scaler) cannotVouch(zone string, err error) {
	s.Log.WithError(err).WithField(fieldZone, zone).Warn("could not vouch for what Redis says of a zone; claims go by Consul until it takes a write")
}

// errUnmarked: in a zone in which this scaler acts no mark was left before Redis was
// read. It takes marks now, and must be read anew.
var errUnmarked = errors.New("this reading of redis began before the scaler acted in a zone")

// vouch leaves a mark in each zone that may be vouched for, once the loop knows what
// this reading of Redis found. all is true when that is every zone in which this scaler
// acts. errWiped says that a mark is not there any more.
func (s *Scaler) vouch(ctx context.Context, reading int, marks map[string]lastMark) (all bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	now := s.told.get()
	if now.reading != reading {
		return false, nil
	}
	for _, zone := range now.right {
		if !s.Locks.Held(zone) {
			continue // another may have vouched, and Redis been put back, meanwhile
		}
		mark := staging.NewClaimID()
		before, ok := marks[zone]
		if !ok {
			if err := s.Store.PlaceMarker(ctx, zone, mark); err != nil {
				s.cannotVouch(zone, err)
				return true, nil
			}
			return false, errUnmarked
		}
		noted, err := s.Store.RenewTrust(ctx, zone, before.text, mark, before.ours)
		switch {
		case err != nil:
			s.cannotVouch(zone, err)
			return true, nil
		case !noted:
			return false, errWiped
		}
		marks[zone] = lastMark{text: mark, ours: true}
	}
	return len(now.right) == len(now.acting), nil
}
