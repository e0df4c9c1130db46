package scaler

import (
	"context"
	"errors"
	"time"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// Profiles is the leases of persistent profiles in Consul.
type Profiles interface {
	Profiles(ctx context.Context) ([]staging.ProfileLease, error)
	// ReleaseProfile frees the lease of a session. A lease of another session stays.
	ReleaseProfile(ctx context.Context, lease staging.ProfileLease) error
}

const (
	// profilesPoll is how often the leases are looked at.
	profilesPoll = 2 * time.Second
	// strayLease is how long a lease may exist without a session, since its launch may be
	// under way. A launch that has a lease registers its job well before.
	strayLease = 2 * time.Minute
)

// freeProfiles frees, until ctx is done, the leases of profiles whose sessions have ended:
// when Nomad says that nothing of a session runs, which may be a while after its end began.
func (s *Scaler) freeProfiles(ctx context.Context) {
	again := time.NewTicker(profilesPoll)
	defer again.Stop()
	// seen is since when this scaler knows a lease, by its session.
	seen := map[string]time.Time{}
	for failed := false; ; {
		err := s.freeProfilesOnce(ctx, seen)
		if err != nil && !failed && ctx.Err() == nil {
			s.Log.WithError(err).WithField(logfield.Source, "profiles").Warn("cannot free the profiles of sessions that have ended, retrying; launches that use them wait")
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

func (s *Scaler) freeProfilesOnce(ctx context.Context, seen map[string]time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	leases, err := s.Profiles.Profiles(ctx)
	if err != nil {
		return err
	}
	now, there := time.Now(), map[string]bool{}
	for _, l := range leases {
		there[l.Session] = true
		if seen[l.Session].IsZero() {
			seen[l.Session] = now
		}
	}
	for session := range seen {
		if !there[session] {
			delete(seen, session)
		}
	}
	var failed error
	for _, l := range s.leasesToCheck(ctx, leases) {
		failed = errors.Join(failed, s.freeProfile(ctx, l, now.Sub(seen[l.Session])))
	}
	return failed
}

// leasesToCheck are the leases whose sessions have ended, or are not known, in the zones in
// which this scaler acts.
func (s *Scaler) leasesToCheck(ctx context.Context, leases []staging.ProfileLease) []staging.ProfileLease {
	if len(leases) == 0 {
		return nil
	}
	found := make(chan []staging.ProfileLease, 1)
	s.post(ctx, func(v *view) {
		var all []staging.ProfileLease
		for _, l := range leases {
			e := v.sessions[l.Session]
			if v.inSync() && v.acts(l.Zone) && (e == nil || e.s.State == staging.Ended) {
				all = append(all, l)
			}
		}
		found <- all
	})
	select {
	case all := <-found:
		return all
	case <-ctx.Done():
		return nil
	}
}

// freeProfile frees a lease if nothing of its session runs or will run. seenFor is how long
// the lease has been known.
func (s *Scaler) freeProfile(ctx context.Context, l staging.ProfileLease, seenFor time.Duration) error {
	_, err := s.Registry.Fate(ctx, l.Session)
	switch {
	case errors.Is(err, staging.ErrNoResource) && seenFor < strayLease:
		return nil // its launch may be about to write the record
	case err != nil && !errors.Is(err, staging.ErrNoResource):
		return err
	}
	runs, err := s.Fleet.MayRun(ctx, staging.Session{ID: l.Session, Zone: l.Zone, Namespace: l.Namespace, Region: l.Region})
	if err != nil || runs {
		return err
	}
	if err := s.Profiles.ReleaseProfile(ctx, l); err != nil {
		return err
	}
	s.Log.WithField(logfield.Session, l.Session).Info("freed the profile of a session of which nothing runs any more")
	return nil
}
