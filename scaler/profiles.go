package scaler

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// Profiles is the leases of persistent profiles in Consul.
type Profiles interface {
	Profiles(ctx context.Context) ([]staging.ProfileLease, error)
	// TakeProfile leases a profile to a session unless another session has it.
	TakeProfile(ctx context.Context, lease staging.ProfileLease) (taken bool, holder staging.ProfileLease, err error)
	// ReleaseProfile frees the lease of a session. A lease of another session stays.
	ReleaseProfile(ctx context.Context, lease staging.ProfileLease) error
}

// profilesPoll is how often the leases are read.
const profilesPoll = 2 * time.Second

// profileLeases are the leases as this scaler has seen them: since when, by session.
type profileLeases map[string]time.Time

// observe takes over a read of all leases.
func (p profileLeases) observe(leases []staging.ProfileLease, now time.Time) {
	there := make(map[string]bool, len(leases))
	for _, l := range leases {
		there[l.Session] = true
		if p[l.Session].IsZero() {
			p[l.Session] = now
		}
	}
	for session := range p {
		if !there[session] {
			delete(p, session)
		}
	}
}

// freeProfiles frees, until ctx is done, the leases of profiles whose sessions have ended,
// whatever ended them. Only Nomad decides that: neither Redis nor a record of greenroom has
// a part in it, so a lease is freed as well when those are lost.
func (s *Scaler) freeProfiles(ctx context.Context) {
	again := time.NewTicker(profilesPoll)
	defer again.Stop()
	seen := profileLeases{}
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

func (s *Scaler) freeProfilesOnce(ctx context.Context, seen profileLeases) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	began := time.Now()
	leases, err := s.Profiles.Profiles(ctx)
	if err != nil {
		return err
	}
	seen.observe(leases, began)
	toCheck := s.leasesToCheck(ctx, leases)
	// Where the time does not suffice for all, another pass begins with others.
	rand.Shuffle(len(toCheck), func(i, j int) { toCheck[i], toCheck[j] = toCheck[j], toCheck[i] })
	var failed error
	for _, l := range toCheck {
		failed = errors.Join(failed, s.freeProfile(ctx, l, began.Sub(seen[l.Session])))
	}
	return failed
}

// leasesToCheck returns the leases, of the zones in which this scaler acts, whose sessions
// are not known to run.
func (s *Scaler) leasesToCheck(ctx context.Context, leases []staging.ProfileLease) []staging.ProfileLease {
	found := make(chan []staging.ProfileLease, 1)
	s.post(ctx, func(v *view) { found <- v.setProfiles(leases) })
	select {
	case all := <-found:
		return all
	case <-ctx.Done():
		return nil
	}
}

// setProfiles takes over the leases, and returns those to be checked.
func (v *view) setProfiles(leases []staging.ProfileLease) (toCheck []staging.ProfileLease) {
	v.profiles = make(map[string]bool, len(leases))
	for _, l := range leases {
		v.profiles[l.Session] = true
		// A zone that is deleted has its lock all the same, until its leases are freed.
		v.sessionZones[l.Zone] = true
		e := v.sessions[l.Session]
		runs := e != nil && e.hasJob && !e.stopped && !e.over()
		if v.acts(l.Zone) && !runs {
			toCheck = append(toCheck, l)
		}
	}
	return toCheck
}

// profileOf returns the lease that a user's session must have; zero where its image has no
// persistent profile, as far as that is known.
func (v *view) profileOf(e *entry) staging.ProfileLease {
	if e.s.Origin != staging.OnDemand || e.s.User == nil {
		return staging.ProfileLease{}
	}
	path, err := v.resources.Images[e.s.Image].ProfileOf(*e.s.User)
	if err != nil || path == "" {
		return staging.ProfileLease{}
	}
	return staging.ProfileLease{
		Path: path, Session: e.s.ID, Zone: e.s.Zone, Namespace: e.s.Namespace, Region: e.s.Region, TakenAt: e.s.AssignedAt,
	}
}

// freeProfile frees a lease if nothing of its session runs or will run.
func (s *Scaler) freeProfile(ctx context.Context, l staging.ProfileLease, seenFor time.Duration) error {
	remains, err := s.Fleet.Remains(ctx, staging.Session{ID: l.Session, Zone: l.Zone, Namespace: l.Namespace, Region: l.Region})
	if err != nil || !staging.ProfileFree(remains, seenFor) {
		return err
	}
	if err := s.Profiles.ReleaseProfile(ctx, l); err != nil {
		return err
	}
	s.Log.WithField(logfield.Session, l.Session).Info("freed the profile of a session of which nothing runs any more")
	return nil
}
