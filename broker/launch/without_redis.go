package launch

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// maxSearched bounds how often one launch tries to have sessions decided while Redis is
// away. Another launch may have had each of them, and the listing is read again after that.
const maxSearched = 16

// maxFinds bounds how many sessions of a launch are looked up in Nomad at once.
const maxFinds = 8

// withoutRedis serves a launch from a candidate's pools while Redis does not answer or is not
// trusted: from the listings that all launches share. No sessions and no error: none could
// serve.
func (l *launch) withoutRedis(ctx context.Context, c candidate, runs int, short *shortage) ([]staging.Session, error) {
	if l.unfenced {
		// Only Redis has whose the sessions are that were given without a fate record.
		l.attempt(staging.StepStaged, c.zone, staging.OutcomeSkipped, errUnfencedWithoutRedis.Error())
		if l.Several() {
			return nil, refusal.NoRedis(errUnfencedWithoutRedis)
		}
		return nil, nil
	}
	for range maxSearched {
		if err := l.admitWithoutRedis(ctx); err != nil {
			return nil, err
		}
		taken, err := l.takeListed(ctx, c, short)
		if err != nil || taken == nil {
			return nil, err
		}
		sessions, err := l.commit(ctx, taken, runs)
		l.spendListed(taken, err)
		switch {
		case errors.Is(err, errHookDenied):
			l.denied = err
			return nil, nil
		case errors.Is(err, errLost), errors.Is(err, errHookFailed):
			if err := l.tooManyFailed(err); err != nil {
				return nil, err
			}
			continue
		case err != nil:
			return nil, err
		}
		l.Meter.WithoutRedis()
		l.logSession(sessions[0]).Info("served without Redis, from Consul's passing instances")
		return sessions, nil
	}
	return nil, nil
}

// errUnfencedWithoutRedis: without a fence a session may have a user and no fate record.
var errUnfencedWithoutRedis = errors.New(
	"redis does not answer, or is not trusted, and with the claim fence off nothing else has whose the staged sessions are")

// takeListed takes the launch's sessions from the listings of a candidate's pools, in their
// order: all, or none where there are too few.
func (l *launch) takeListed(ctx context.Context, c candidate, short *shortage) ([]staging.Session, error) {
	start := time.Now()
	defer func() { l.timings.Claim += time.Since(start) }()
	var taken []staging.Session
	ready := make([]int, len(c.pools))
	for i, pool := range c.pools {
		found, err := l.takeFrom(ctx, pool, l.count()-len(taken))
		taken, ready[i] = append(taken, found...), len(found)
		if err != nil {
			l.putBackListed(taken)
			return nil, err
		}
	}
	if len(taken) < l.count() {
		l.putBackListed(taken)
		short.add(l, c, ready)
		return nil, nil
	}
	// The oldest is the one that an Idempotency-Key names; ids are sorted by time of creation.
	slices.SortFunc(taken, func(a, b staging.Session) int { return strings.Compare(a.ID, b.ID) })
	return taken, nil
}

// takeFrom takes up to n sessions of a pool off its listing that this launch can use. What it
// returns is taken also beside an error.
func (l *launch) takeFrom(ctx context.Context, pool staging.Config, n int) (taken []staging.Session, err error) {
	fits := func(id string, facts *staging.Session) bool {
		return !l.tried[id] && (facts == nil || l.suits(*facts, pool))
	}
	for len(taken) < n {
		consul, cancel := context.WithTimeout(ctx, deadline.Consul)
		some, err := l.listings.take(consul, pool.Name, n-len(taken), fits)
		cancel()
		if err != nil {
			return taken, refusal.NoConsul(err)
		}
		if len(some) == 0 {
			return taken, nil
		}
		found, err := l.locate(ctx, pool, some)
		taken = append(taken, found...)
		if err != nil {
			return taken, refusal.NoNomad(err)
		}
	}
	return taken, nil
}

// suits reports whether a session is what the pool's config now says, and what the launch
// needs: after a change of the config, or of its zone, a pool has some that are not.
func (l *launch) suits(s staging.Session, pool staging.Config) bool {
	if revision, must := l.revisions([]staging.Config{pool})[pool.Name]; must && s.Revision != revision {
		return false
	}
	return s.Staging == pool.Name && s.Zone == pool.Zone && s.Image == l.Image && s.Permits == l.settings.Permissions.Permits()
}

// locate reads from Nomad what Redis would have held of sessions that were taken off a pool's
// listing, and returns those that the launch can use. The others are off its hands.
func (l *launch) locate(ctx context.Context, pool staging.Config, taken []listed) (usable []staging.Session, err error) {
	// The newest generation may take the rest of a reading that is under way, and one more.
	patient, cancel := context.WithTimeout(ctx, 2*deadline.Nomad)
	defer cancel()
	ctx, stop := context.WithTimeout(ctx, deadline.Nomad)
	defer stop()
	zone := l.resources.Zones[pool.Zone]
	found, errs := make([]staging.Session, len(taken)), make([]error, len(taken))
	var finds errgroup.Group
	finds.SetLimit(maxFinds)
	for i, s := range taken {
		finds.Go(func() error {
			found[i], errs[i] = l.Fleet.Find(ctx, staging.Session{ID: s.id, Zone: zone.Name, Namespace: zone.Namespace, Region: zone.Region})
			return nil
		})
	}
	var generation staging.Generation
	restored := false
	finds.Go(func() (err error) {
		generation, restored, err = l.consulRestored(patient, zone)
		return err
	})
	if err := finds.Wait(); err != nil || restored { // each Find has its own error
		for _, s := range taken {
			l.tried[s.id] = true
			l.listings.putBack(pool.Name, s)
		}
		return nil, err
	}
	for i, s := range taken {
		switch {
		case errors.Is(errs[i], staging.ErrNoSession), errs[i] == nil && found[i].AllocID != s.allocID:
			// It is gone, a clone, or in the namespace of another zone.
			l.tried[s.id] = true
			l.listings.spend(pool.Name, s)
		case errs[i] != nil:
			l.listings.putBack(pool.Name, s)
			err = errs[i]
		case generation.LostFates(found[i].Generation):
			// The restore was noted after the listing was read.
			l.tried[s.id] = true
			l.listings.spend(pool.Name, s)
		case found[i].State == staging.Starting:
			// Nothing can be run in it yet, although its checks pass.
			l.tried[s.id] = true
			l.listings.putBack(pool.Name, s)
		case !l.suits(found[i], pool):
			l.listings.note(pool.Name, found[i])
			l.listings.putBack(pool.Name, s)
		default:
			if hookErr := l.prepare(ctx, found[i]); hookErr != nil {
				l.logSession(found[i]).WithError(hookErr).Info("skipped a session without Redis: its first_launch hook has not run")
				l.tried[s.id] = true
				l.listings.putBack(pool.Name, s)
				continue
			}
			found[i].State, found[i].Claim, found[i].User = staging.Claimed, l.claim.ID, &l.User
			usable = append(usable, found[i])
		}
	}
	return usable, err
}

// consulRestored reports whether Nomad has a session of a later generation than Consul: then
// Consul was restored from a snapshot, no scaler has noted that yet, and a session without
// a fate record may be a user's. Consul's own catalog shows it only once Nomad's clients
// have registered their services again. The generation is Consul's.
func (l *launch) consulRestored(ctx context.Context, zone staging.Zone) (staging.Generation, bool, error) {
	newest, err := l.generations.in(ctx, zone)
	if err != nil {
		return staging.Generation{}, false, err
	}
	// Read after Nomad, so that it is later unless Consul was restored.
	generation, err := l.Fates.Generation(ctx)
	return generation, generation.Shows(newest), err
}

// putBackListed returns sessions to their listings.
func (l *launch) putBackListed(taken []staging.Session) {
	for _, s := range taken {
		l.listings.putBack(s.Staging, listed{s.ID, s.AllocID})
	}
}

// spendListed takes sessions off their listings of which commit has tried to have the fates
// decided. After an error the listings are read again: what has no fate is shown again.
func (l *launch) spendListed(taken []staging.Session, err error) {
	for _, s := range taken {
		l.listings.spend(s.Staging, listed{s.ID, s.AllocID})
		if err != nil {
			l.listings.expire(s.Staging)
		}
	}
}

// prepare ensures that a session's first_launch hook has run: that its checks pass does
// not say so.
func (l *launch) prepare(ctx context.Context, s staging.Session) error {
	hook := staging.HooksOf(s, l.image).FirstLaunch
	if hook == nil {
		return nil
	}
	start := time.Now()
	defer func() { l.timings.Hook += time.Since(start) }()
	return l.Hooks.Run(ctx, s, staging.HookFirstLaunch, *hook, staging.Launch{})
}

// admitWithoutRedis checks in Consul what Redis would have checked: whether the launch is a
// repeat, and how many sessions its user has. It holds for as long as a reservation may be used;
// a launch that tries for longer is admitted again. Of two launches with one key both may be
// admitted here, and one is decided: the key's record is written with the fate.
func (l *launch) admitWithoutRedis(ctx context.Context) error {
	l.redisAway = true
	if time.Now().Before(l.admittedUntil) {
		return nil
	}
	until := time.Now().Add(staging.ReservationUse)
	if l.IdempotencyKey != "" {
		consul, cancel := context.WithTimeout(ctx, deadline.Consul)
		defer cancel()
		hold, err := l.Fates.Key(consul, l.IdempotencyKey)
		switch {
		case errors.Is(err, staging.ErrNoResource):
		case err != nil:
			return refusal.NoConsul(err)
		case hold.Claim != l.claim.ID:
			return l.repeatOf(ctx, hold)
		}
	}
	if err := l.admitUser(ctx); err != nil {
		return err
	}
	l.admittedUntil = until
	return nil
}
