package launch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// A persistent profile is one session's at a time, also while the session before still
// saves: the launch leases it before the job is registered, and the scaler frees it once
// Nomad says that nothing of the session runs any more.

const (
	// profilePoll is how often a launch that waits for a profile looks at it.
	profilePoll = 250 * time.Millisecond
	// ownProfileWait is how long a launch waits at least for the end of its own session in
	// the zone before, which could not be placed or did not start.
	ownProfileWait = 10 * time.Second
)

// profilePath returns the profile that the launch's session uses, "" for none.
func (l *launch) profilePath() (string, error) { return l.image.ProfileOf(l.User) }

// awaitProfile waits until no session uses the launch's profile, or wait is over. It takes
// nothing, so that launches which wait hold no place among those that make a session.
func (l *launch) awaitProfile(ctx, wait context.Context) error {
	path, err := l.profilePath()
	if err != nil || path == "" {
		return err
	}
	holder, err := l.profileHolder(ctx, path)
	if err != nil || holder.Session == "" {
		return err
	}
	return l.awaitHolder(ctx, wait, holder)
}

// takeProfile leases the launch's profile for a session, waiting for it like awaitProfile.
func (l *launch) takeProfile(ctx, wait context.Context, s staging.Session) error {
	path, err := l.profilePath()
	if err != nil || path == "" {
		return err
	}
	lease := staging.ProfileLease{Path: path, Session: s.ID, Zone: s.Zone, Namespace: s.Namespace, Region: s.Region}
	for {
		began := time.Now()
		lease.TakenAt = began.UTC()
		call, cancel := context.WithTimeout(ctx, deadline.Consul)
		taken, holder, err := l.Profiles.TakeProfile(call, lease)
		cancel()
		switch {
		case err != nil:
			l.consul.trip()
			l.profile = lease // perhaps: the outcome is not known
			l.freeProfile()
			return refusal.NoConsul(err)
		case taken:
			l.profile, l.registerBy = lease, began.Add(staging.ProfileRegister)
			l.tried[s.ID] = true
			return nil
		case holder.Session == "":
			continue // it was freed in this very moment
		}
		if err := l.awaitHolder(ctx, wait, holder); err != nil {
			return err
		}
	}
}

// freeProfile frees the lease of a session whose job was not registered, nor will be. If that
// fails, the scaler frees it after staging.ProfileStray.
func (l *launch) freeProfile() {
	if l.profile.Session == "" {
		return
	}
	// Not under the launch's context: a launch whose time is up must not keep the profile.
	ctx, cancel := context.WithTimeout(context.Background(), deadline.Consul)
	defer cancel()
	if err := l.Profiles.ReleaseProfile(ctx, l.profile); err != nil {
		l.log().WithError(err).Warn("could not free the lease of a profile; the scaler will")
	}
	l.profile = staging.ProfileLease{}
}

// whileLeased returns ctx with the time until which a session's job may be registered. A
// broker that stood still for longer must not register it: its lease of a profile may have been
// freed, and its place under a limit be another's.
func (l *launch) whileLeased(ctx context.Context) (context.Context, context.CancelFunc) {
	if l.registerBy.IsZero() {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, l.registerBy)
}

func (l *launch) profileHolder(ctx context.Context, path string) (staging.ProfileLease, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	holder, err := l.Profiles.ProfileHolder(ctx, path)
	if err != nil {
		return holder, refusal.NoConsul(err)
	}
	return holder, nil
}

// ownProfile reports whether a refusal is for the profile of this launch's own session in a
// zone before, which has not ended in time. No other zone can serve then.
func (l *launch) ownProfile(e *refusal.Error) bool {
	return e.Kind == refusal.ProfileInUse && l.tried[e.Sessions[0]]
}

// awaitHolder waits until a profile is free. It returns a *repeatError or a *servedError
// where the session that has the profile is that of an earlier launch with the same key.
func (l *launch) awaitHolder(ctx, wait context.Context, holder staging.ProfileLease) error {
	if l.tried[holder.Session] {
		own, cancel := context.WithTimeout(ctx, ownProfileWait)
		defer cancel()
		if wait.Err() != nil {
			wait = own
		}
	}
	poll := time.NewTicker(profilePoll)
	defer poll.Stop()
	for {
		if err := l.isRepeat(ctx); err != nil {
			return err
		}
		select {
		case <-wait.Done():
			if l.stopping.now() {
				return brokerStops()
			}
			return l.profileInUse(holder)
		case <-poll.C:
		}
		now, err := l.profileHolder(ctx, holder.Path)
		if err != nil || now.Session == "" {
			return err
		}
		holder = now
	}
}

// isRepeat returns an error where another launch holds the launch's key, in Redis or in
// Consul.
func (l *launch) isRepeat(ctx context.Context) error {
	if l.IdempotencyKey == "" {
		return nil
	}
	redis, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	if holder, err := l.Keys.KeyHolder(redis, l.IdempotencyKey); err == nil && holder.Claim != "" {
		if holder.Claim != l.claim.ID {
			return &repeatError{}
		}
		return nil
	}
	consul, cancelConsul := context.WithTimeout(ctx, deadline.Consul)
	defer cancelConsul()
	hold, err := l.Fates.Key(consul, l.IdempotencyKey)
	switch {
	case errors.Is(err, staging.ErrNoResource):
		return nil
	case err != nil:
		return refusal.NoConsul(err)
	case hold.Claim == l.claim.ID:
		return nil
	}
	return l.repeatOf(ctx, hold)
}

// profileInUse is the refusal of a launch whose profile another session has.
func (l *launch) profileInUse(holder staging.ProfileLease) *refusal.Error {
	l.attempt(staging.StepOnDemand, l.Zone, staging.OutcomeSkipped, fmt.Sprintf("session %s uses the profile %s", holder.Session, holder.Path))
	return &refusal.Error{
		Kind: refusal.ProfileInUse, Sessions: []string{holder.Session},
		Detail: fmt.Sprintf("the profile %s is in use by session %s, also while that session saves at its end: end it, or launch with a longer wait",
			holder.Path, holder.Session),
	}
}
