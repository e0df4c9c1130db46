package sessions

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/errgroup"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// endsAtOnce bounds how many sessions of a user are ended at the same time.
const endsAtOnce = 8

// EndUser ends all sessions of a user, also those whose launch is under way: their claims
// are abandoned, so that no broker can finish them. It returns the ids of those that it ended,
// oldest first, also beside an error, which says that some may not have ended.
func (s *Sessions) EndUser(ctx context.Context, userID, reason string) (ended []string, err error) {
	theirs, err := s.ofUser(ctx, userID)
	failures := []error{err}
	var mu sync.Mutex
	var ends errgroup.Group
	ends.SetLimit(endsAtOnce)
	for _, x := range theirs {
		ends.Go(func() error {
			did, err := s.endOfUser(ctx, x, reason)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				s.log.WithError(err).WithFields(logrus.Fields{logfield.Session: x.session.ID, logfield.UserID: userID}).
					Warn("could not end a session of a locked user; it is tried again")
				failures = append(failures, err)
			}
			if did {
				ended = append(ended, x.session.ID)
			}
			return nil
		})
	}
	_ = ends.Wait() // the failures are all collected
	slices.Sort(ended)
	return ended, errors.Join(failures...)
}

// usersSession is a session of a user, with its fate record where there is one.
type usersSession struct {
	session staging.Session
	fate    staging.Fate
}

// ofUser finds a user's sessions by the fate records, and by Redis, which alone has those that
// are given without one. It returns what it found also beside an error.
func (s *Sessions) ofUser(ctx context.Context, userID string) (map[string]usersSession, error) {
	var failures []error
	theirs := map[string]usersSession{}
	redis, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	inRedis, err := s.Store.UserSessions(redis, userID)
	if err != nil {
		failures = append(failures, refusal.NoRedis(err))
	}
	for _, x := range inRedis {
		theirs[x.ID] = usersSession{session: x}
	}
	// There is a record for every session that is or was lately somebody's.
	consul, cancelConsul := context.WithTimeout(ctx, 2*deadline.Consul)
	defer cancelConsul()
	fates, err := s.Registry.Fates(consul)
	if err != nil {
		failures = append(failures, refusal.NoConsul(err))
	}
	zones := s.Registry.Resources().Zones
	for id, f := range fates {
		if f.Verdict != staging.VerdictAssigned || f.Reason != "" || f.User == nil || f.User.ID != userID {
			continue
		}
		x, known := theirs[id]
		if !known {
			zone := zones[f.Zone]
			x.session = f.Given(staging.Session{ID: id, Zone: f.Zone, Namespace: f.NamespaceIn(zone), Region: zone.Region})
		}
		x.fate = f
		theirs[id] = x
	}
	return theirs, errors.Join(failures...)
}

// endOfUser ends one session, and reports whether it was there.
func (s *Sessions) endOfUser(ctx context.Context, x usersSession, reason string) (ended bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, deadline.Cleanup)
	defer cancel()
	if x.fate.HookPending {
		if err := s.abandon(ctx, x.fate, reason); err != nil {
			return false, err
		}
	}
	err = s.Store.Finish(ctx, x.session.ID, x.session.Claim, reason)
	var moved *staging.StateError
	switch {
	case err == nil:
		ended = true
	case errors.As(err, &moved) && moved.State == staging.Ended:
		return false, nil
	case errors.As(err, &moved) && moved.State.Over():
		// Stop it again: the caller that began its end may have failed at this step.
	default:
		// Redis is away or has lost it. The scaler marks its end once its job is gone.
		_, missing := s.Fleet.Find(ctx, x.session)
		ended = missing == nil
	}
	if err := s.Fleet.Stop(ctx, x.session); err != nil {
		return false, refusal.NoNomad(err)
	}
	if ended {
		s.log.WithFields(logrus.Fields{logfield.Session: x.session.ID, logfield.Zone: x.session.Zone, logfield.Reason: reason}).Info("session of a locked user ended")
		s.auditEnd(ctx, x.session)
	}
	return ended, nil
}

// abandon takes a session from its claim, unless that has finished by now.
func (s *Sessions) abandon(ctx context.Context, f staging.Fate, reason string) error {
	failed := s.Registry.AbandonFate(ctx, f, reason)
	if failed == nil {
		return nil
	}
	now, err := s.Registry.Fate(ctx, f.Session)
	if errors.Is(err, staging.ErrNoResource) || err == nil && (!now.HookPending || now.Reason != "") {
		return nil
	}
	return refusal.NoConsul(errors.Join(failed, err))
}
