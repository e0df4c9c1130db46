package scaler

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// A source that failed is retried after a pause. The pause doubles up to longestPause
// and is jittered, so that many scalers do not retry at the same moment.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
	// readTimeout bounds one resync of a source.
	readTimeout = 30 * time.Second
)

// retry runs try until ctx is done. After a failure it posts lost, which marks the
// source as not known, and pauses. After nil it runs try again at once.
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
		s.Log.WithError(err).WithField(logfield.Source, source).Warn("lost a source; no action that depends on it until it is read again; retrying")
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
	unreadable := unreadableLog{log: s.Log}
	s.retry(ctx, "registry", func(v *view) { v.resourcesKnown = false }, func() error {
		return s.Registry.Watch(ctx, func(r staging.Resources) {
			found, kinds := map[string]string{}, map[staging.ResourceKind]int{}
			for key, u := range r.Unreadable {
				found[key] = u.String()
				kinds[u.Kind]++
			}
			unreadable.found(found)
			s.Meter.UnreadableResources(kinds)
			s.post(ctx, func(v *view) {
				if implausibleResources(v.resources, r) {
					s.Log.Error("every zone, image and staging config vanished from Consul at once; keeping the last ones. Store them again, or restart the scalers if this is meant")
					v.resourcesKnown = true
					return
				}
				v.setResources(r)
			})
		})
	})
}

// implausibleResources reports whether all resources vanished in one reading while there
// were pools: somebody deleted Consul's keys, or Consul lost its data. Whoever removes an
// installation deletes its pools first. Users' sessions do not depend on it, but every pool
// would be drained.
func implausibleResources(before, now staging.Resources) bool {
	return len(before.Configs) > 0 && len(now.Configs)+len(now.Zones)+len(now.Images)+len(now.Groups)+len(now.Unreadable) == 0
}

// watchFleet reads all of Nomad's sessions and all fates, then follows Nomad's events
// until they fail, the next resync is due, or one is requested.
func (s *Scaler) watchFleet(ctx context.Context) {
	unreadable := unreadableLog{log: s.Log}
	s.retry(ctx, "nomad", func(v *view) { v.fleetKnown = false }, func() error {
		reading, index, err := s.readFleet(ctx)
		if err != nil {
			return err
		}
		found := map[string]string{}
		for id, f := range reading.fates {
			if f.Verdict == staging.VerdictUnreadable {
				found[id] = f.Reason
			}
		}
		unreadable.found(found)
		s.Meter.UnreadableFates(len(found))
		s.post(ctx, func(v *view) {
			if v.resyncFleet(reading, time.Now()) {
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
			s.generations.observe(o)
			s.post(ctx, func(v *view) { v.observe(o, time.Now()) })
		})
		if follow.Err() != nil {
			return nil
		}
		return err
	})
}

// readFleet reads all of Nomad's sessions and all fates, and confirms what the list lacks.
func (s *Scaler) readFleet(ctx context.Context) (r fleetReading, index uint64, err error) {
	r.began = time.Now()
	read, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if r.sessions, index, err = s.Fleet.List(read); err != nil {
		return r, 0, err
	}
	s.showForeign(ctx, r.sessions)
	if r.fates, err = s.Registry.Fates(read); err != nil {
		return r, 0, err
	}
	if r.generation, err = s.readGeneration(read, r.sessions); err != nil {
		return r, 0, err
	}
	return r, index, s.confirm(ctx, &r)
}

// requestFleetResync requests a complete read of Nomad's sessions and the fates now.
func (s *Scaler) requestFleetResync() {
	select {
	case s.fleetResync <- struct{}{}:
	default:
	}
}
