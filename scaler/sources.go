package scaler

import (
	"context"
	"errors"
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
	// readTimeout bounds one resync of a source. A list of Nomad is many calls, the more the
	// more sessions there are. Each has a deadline of its own, so that a Nomad that hangs is
	// noticed before the listTimeout.
	readTimeout, listTimeout = 30 * time.Second, 3 * time.Minute
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

// watchFleet follows Nomad's events. Beside that it reads all of Nomad's sessions and all
// fates, at first, when that is due, and when it is requested: each time with one list, while
// events go on. Where it cannot watch, it reads them all the same before it tries again: a token
// that may no longer read every namespace opens no event stream, and what is hidden from it
// has to be told.
func (s *Scaler) watchFleet(ctx context.Context) {
	unreadable := unreadableLog{log: s.Log}
	s.retry(ctx, "nomad", func(v *view) { v.fleetKnown = false }, func() error {
		watched := false
		err := s.Fleet.Watch(ctx, func(o staging.Observation) {
			s.generations.observe(o)
			s.post(ctx, func(v *view) { v.observe(o, time.Now()) })
		}, func(ctx context.Context, list listFunc) error {
			watched = true
			for {
				if err := s.resyncFleet(ctx, list, &unreadable); err != nil {
					return err
				}
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-s.fleetResync:
				case <-time.After(s.o.Resync):
				}
			}
		})
		if !watched && ctx.Err() == nil {
			err = errors.Join(err, s.resyncFleet(ctx, s.Fleet.List, &unreadable))
			s.untilDecided(ctx) // by what was read just now, which is not known for longer
		}
		return err
	})
}

// resyncFleet reads all of Nomad's sessions and all fates, and posts them.
func (s *Scaler) resyncFleet(ctx context.Context, list listFunc, unreadable *unreadableLog) error {
	reading, err := s.readFleet(ctx, list)
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
	return nil
}

// readFleet reads all of Nomad's sessions and all fates, and confirms what the list lacks.
func (s *Scaler) readFleet(ctx context.Context, list listFunc) (r fleetReading, err error) {
	r.began = time.Now()
	listed, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	if r.sessions, err = list(listed); err != nil {
		return r, err
	}
	read, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	s.showForeign(ctx, r.sessions)
	if r.fates, err = s.Registry.Fates(read); err != nil {
		return r, err
	}
	if r.generation, err = s.readGeneration(read, r.sessions); err != nil {
		return r, err
	}
	return r, s.confirm(ctx, &r)
}

// requestFleetResync requests a complete read of Nomad's sessions and the fates now.
func (s *Scaler) requestFleetResync() {
	select {
	case s.fleetResync <- struct{}{}:
	default:
	}
}
