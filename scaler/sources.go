package scaler

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// syncFlag is read by health checks while the loop writes it.
type syncFlag struct{ v atomic.Bool }

func (f *syncFlag) set(b bool) { f.v.Store(b) }

// InSync reports whether every source is known: whether the scaler acts.
func (s *Scaler) InSync() bool { return s.inSync.v.Load() }

// Pauses before a source that failed is asked again: doubled up to the longest,
// and jittered, so that many scalers do not come back at once.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
	// readTimeout bounds one full reading.
	readTimeout = 30 * time.Second
)

// again runs try until ctx is done, pausing after each failure. try returns
// nil when it is to be run again at once.
func (s *Scaler) retry(ctx context.Context, source string, lost func(*view), try func() error) {
	pause := firstPause
	for ctx.Err() == nil {
		began := time.Now()
		err := try()
		if err == nil || ctx.Err() != nil {
			pause = firstPause
			continue
		}
		if time.Since(began) > longestPause {
			pause = firstPause
		}
		s.Log.WithError(err).WithField(logfield.Source, source).Warn("source lost; nothing is done until it is back")
		s.post(ctx, lost)
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause/2)):
		}
		pause = min(2*pause, longestPause)
	}
}

// watchRegistry follows the resources.
func (s *Scaler) watchRegistry(ctx context.Context) {
	s.retry(ctx, "registry", func(v *view) { v.resourcesKnown = false }, func() error {
		return s.Registry.Watch(ctx, func(r staging.Resources) {
			for key, why := range r.Unreadable {
				s.Log.WithField(logfield.Key, key).WithField(logfield.Reason, why).Error("a stored resource cannot be read and is taken for absent; store it anew")
			}
			s.post(ctx, func(v *view) { v.setResources(r) })
		})
	})
}

// watchFleet reads all of Nomad's sessions and all fates, then follows Nomad's
// events until they fail, the next full reading is due, or Redis was wiped.
func (s *Scaler) watchFleet(ctx context.Context) {
	s.retry(ctx, "nomad", func(v *view) { v.fleetKnown = false }, func() error {
		began := time.Now()
		read, cancel := context.WithTimeout(ctx, readTimeout)
		defer cancel()
		all, index, err := s.Fleet.List(read)
		if err != nil {
			return err
		}
		fates, err := s.Registry.Fates(read)
		if err != nil {
			return err
		}
		s.post(ctx, func(v *view) {
			if v.resyncFleet(all, fates, began, time.Now()) {
				s.requestFleetResync()
			}
		})
		follow, cancelFollow := context.WithTimeout(ctx, s.o.Resync)
		defer cancelFollow()
		s.wg.Go(func() {
			select {
			case <-s.fleetResync:
				cancelFollow()
			case <-follow.Done():
			}
		})
		err = s.Fleet.Watch(follow, index, func(o staging.Observation) {
			s.post(ctx, func(v *view) { v.observe(o, time.Now()) })
		})
		if follow.Err() != nil {
			return nil
		}
		return err
	})
}

// errWiped: what Redis knew is gone, or it cannot say.
var errWiped = errors.New("redis has been wiped or rolled back, or does not answer")

// One read of Redis's events waits for eventBlock, and for shortEventBlock while there is a zone
// that nobody vouches for yet: until then claims there go by Consul, which is slower.
const (
	eventBlock      = time.Second
	shortEventBlock = eventBlock / 10
)

// eventDebounce is how long the scaler lets pass before it acts on what Redis tells. A claim is
// such news while its launch is still under way: what takes a replacement up to seconds
// can wait for the moments that its user waits for, and a burst of launches costs one
// decision.
const eventDebounce = 25 * time.Millisecond

// watchStore notes where Redis's events stand, reads all sessions, and follows
// the events from there, until they fail or the next full reading is due.
func (s *Scaler) watchStore(ctx context.Context) {
	resyncs := 0
	s.retry(ctx, "redis", func(v *view) { v.storeKnown = false }, func() error {
		resyncs++
		resync := resyncs
		read, cancel := context.WithTimeout(ctx, readTimeout)
		defer cancel()
		epoch, err := s.Store.Epoch(read)
		if err != nil {
			return err
		}
		// Before anything else is read: what is read then is newer than the marks.
		markers := s.placeMarkers(read)
		position, err := s.Store.LastEvent(read)
		if err != nil {
			return err
		}
		all, err := s.Store.Sessions(read)
		if err != nil {
			return err
		}
		s.post(ctx, func(v *view) {
			if v.resyncStore(all, time.Now()) && v.fleetReadOnce {
				s.requestFleetResync()
			}
			v.resync = resync
		})
		var looked time.Time
		wait := shortEventBlock
		for due := time.Now().Add(s.o.Resync); time.Now().Before(due); {
			var events []staging.Event
			events, position, err = s.Store.Events(ctx, position, wait)
			if err != nil {
				return err
			}
			if time.Since(looked) >= wait {
				looked = time.Now()
				now, err := s.Store.Epoch(ctx)
				var last string
				if err == nil {
					last, err = s.Store.LastEvent(ctx)
				}
				if err != nil || now != epoch || earlier(last, position) {
					s.noteRedisLost()
					return errors.Join(errWiped, err)
				}
				all, err := s.renewTrust(ctx, resync, markers)
				switch {
				case errors.Is(err, errNoMarker):
					return nil
				case err != nil:
					s.noteRedisLost()
					return err
				case all:
					wait = eventBlock
				default:
					wait = shortEventBlock
				}
			}
			if len(events) > 0 {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(eventDebounce):
				}
				s.post(ctx, func(v *view) {
					for _, e := range events {
						v.applyEvent(e, time.Now())
					}
				})
			}
		}
		return nil
	})
}

// redisLost notes that Redis was wiped or put back. What it has lost, the fates tell:
// they are read anew, too.
func (s *Scaler) noteRedisLost() {
	now := time.Now()
	s.redisLostAt.Store(&now)
	s.requestFleetResync()
}

// requestFleetResync asks for Nomad's sessions and the fates to be read anew, now.
func (s *Scaler) requestFleetResync() {
	select {
	case s.fleetResync <- struct{}{}:
	default:
	}
}

// earlier compares positions in Redis's events, which are milliseconds and a
// number: the newest one goes back when Redis was put back to an older state.
func earlier(a, b string) bool {
	ams, aseq, _ := strings.Cut(a, "-")
	bms, bseq, _ := strings.Cut(b, "-")
	number := func(s string) uint64 {
		n, _ := strconv.ParseUint(s, 10, 64)
		return n
	}
	if number(ams) != number(bms) {
		return number(ams) < number(bms)
	}
	return number(aseq) < number(bseq)
}

// unwatch ends the watches of zones that are gone and have no sessions left.
func stopUnusedWatches(v *view) {
	for name, p := range v.onDemand {
		if _, ok := v.resources.Zones[name]; ok || v.hasOnDemandSession(name) {
			continue
		}
		p.stopWatch()
		delete(v.onDemand, name)
		delete(v.onDemandZones, name)
	}
}

// hasOnDemandSession reports whether an on-demand session is in a zone.
func (v *view) hasOnDemandSession(zone string) bool {
	for _, e := range v.sessions {
		if e.s.Origin == staging.OnDemand && e.s.Zone == zone {
			return true
		}
	}
	return false
}

// watchHealth sees to it that the service of every pool, and of every zone's
// on-demand sessions, is watched.
func (s *Scaler) ensureHealthWatches(ctx context.Context, v *view) {
	for name, p := range v.pools {
		if p.stopWatch == nil {
			p.stopWatch = s.startHealthWatch(ctx, staging.PoolService(name), func(v *view) *pool { return v.pools[name] })
		}
	}
	stopUnusedWatches(v)
	for name := range v.resources.Zones {
		s.ensureZoneWatch(ctx, v, name)
	}
	for name := range v.onDemandZones {
		s.ensureZoneWatch(ctx, v, name)
	}
}

// watchZone sees to it that the service of a zone's on-demand sessions is watched.
func (s *Scaler) ensureZoneWatch(ctx context.Context, v *view, name string) {
	if v.onDemand[name] != nil {
		return
	}
	p := &pool{health: map[string]staging.Health{}}
	v.onDemand[name] = p
	p.stopWatch = s.startHealthWatch(ctx, staging.OnDemandService(name), func(v *view) *pool { return v.onDemand[name] })
}

func (s *Scaler) startHealthWatch(ctx context.Context, service string, find func(*view) *pool) (stop func()) {
	ctx, stop = context.WithCancel(ctx)
	lost := func(v *view) {
		if p := find(v); p != nil {
			p.healthKnown = false
		}
	}
	s.wg.Go(func() {
		s.retry(ctx, "consul health of "+service, lost, func() error {
			return s.Health.Watch(ctx, service, func(found []staging.Health) {
				s.post(ctx, func(v *view) {
					if p := find(v); p != nil {
						v.setHealth(p, found, time.Now())
					}
				})
			})
		})
	})
	return stop
}
