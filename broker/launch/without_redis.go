package launch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// maxSearched bounds how many sessions one launch tries while Redis is away: other launches
// may try the same ones, and only one can have each.
const maxSearched = 16

// withoutRedis serves a launch from a pool while Redis is away or not trusted: from the
// sessions whose checks pass in Consul, the oldest whose fate is open. It is slower than
// Redis, since many launches may try the same session; the fate record decides between
// them, as always.
func (l *launch) withoutRedis(ctx context.Context, pool staging.Config) ([]staging.Session, error) {
	if err := l.admitWithoutRedis(ctx); err != nil {
		return nil, err
	}
	passing, err := l.passing(ctx, pool)
	if err != nil {
		return nil, refusal.NoConsul(err)
	}
	for _, s := range passing[:min(len(passing), maxSearched)] {
		if l.tried[s.ID] {
			continue
		}
		found, err := l.locate(ctx, s)
		if err != nil {
			return nil, refusal.NoNomad(err)
		}
		if found.AllocID == "" || found.Staging != pool.Name || found.Image != l.Image || found.Permits != l.settings.Permissions.Permits() {
			continue
		}
		found.State, found.Claim, found.User = staging.Claimed, l.claim.ID, &l.User
		if err := l.prepare(ctx, found); err != nil {
			l.logSession(found).WithError(err).Info("skipped a session without Redis: its first_launch hook has not run")
			continue
		}
		served, err := l.commit(ctx, []staging.Session{found}, 1)
		switch {
		case errors.Is(err, errLost), errors.Is(err, errHookFailed):
			continue
		case err != nil:
			return nil, err
		}
		l.Meter.WithoutRedis()
		l.logSession(served[0]).Warn("served without Redis, from Consul's passing instances")
		return served, nil
	}
	l.attempt(staging.StepStaged, pool.Zone, staging.OutcomeEmpty,
		fmt.Sprintf("Redis does not answer, and of %s Consul has no session that passes its checks and is nobody's", pool.Name))
	return nil, nil
}

// passing are the pool's sessions that pass their checks and have no fate record yet,
// oldest first.
func (l *launch) passing(ctx context.Context, pool staging.Config) ([]staging.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	found, err := l.Health.Passing(ctx, staging.PoolService(pool.Name))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	// The oldest sessions of a pool are those in use, and only so many are tried.
	fates, err := l.Fates.Fates(ctx)
	if err != nil {
		return nil, err
	}
	zone := l.resources.Zones[pool.Zone]
	var all []staging.Session
	for _, h := range found {
		if _, decided := fates[h.Session]; h.Passing && !decided {
			all = append(all, staging.Session{ID: h.Session, AllocID: h.AllocID, Zone: zone.Name, Namespace: zone.Namespace, Region: zone.Region})
		}
	}
	// Ids are sorted by time of creation.
	slices.SortFunc(all, func(a, b staging.Session) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// locate reads from Nomad what Redis would have held of a session. A session that no
// longer exists, or is a clone, is returned without an allocation.
func (l *launch) locate(ctx context.Context, s staging.Session) (staging.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline.Nomad)
	defer cancel()
	found, err := l.Fleet.Find(ctx, s)
	if errors.Is(err, staging.ErrNoSession) || err == nil && found.AllocID != s.AllocID {
		return staging.Session{}, nil
	}
	return found, err
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
// repeat, and how many sessions its user has. Two launches of one user at the same moment
// may both be admitted here; two of one key cannot, since the key's record is written with
// the fate.
func (l *launch) admitWithoutRedis(ctx context.Context) error {
	l.redisAway = true
	ctx, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	if l.IdempotencyKey != "" {
		hold, err := l.Fates.Key(ctx, l.IdempotencyKey)
		switch {
		case errors.Is(err, staging.ErrNoResource):
		case err != nil:
			return refusal.NoConsul(err)
		case hold.Claim != l.claim.ID:
			return l.repeatOf(ctx, hold)
		}
	}
	limit := l.settings.MaxSessionsPerUser
	if limit == 0 {
		return nil
	}
	fates, err := l.userFates(ctx)
	if err != nil {
		return err
	}
	var held []string
	for _, f := range fates {
		if f.Claim == l.claim.ID {
			continue
		}
		if _, err := l.Fleet.Find(ctx, l.located(f.Session, f)); err == nil {
			held = append(held, f.Session)
		}
	}
	if len(held) < limit {
		return nil
	}
	return l.sessionLimit(held)
}

// Of restoring in Redis what was done without it: how often it is retried, and for how long.
const (
	syncPause   = 250 * time.Millisecond
	syncTimeout = 2 * time.Minute
)

// syncRedis restores an assignment in Redis that was made without it, so that a repeat
// finds its session there: at once where Redis answers and only was not trusted, else as
// soon as it is back, in the background. Should this broker stop before, or have no room in
// the background, the scaler does it, from the fate record.
func (l *launch) syncRedis(s staging.Session) {
	f := staging.Fate{IdempotencyKey: l.IdempotencyKey, Fingerprint: l.claim.Fingerprint}
	restore := func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
		defer cancel()
		_, err := l.Store.Restore(ctx, s, f)
		return err
	}
	// Redis answers, so a later request must find there what this launch returns.
	if l.untrusted && restore(context.Background()) == nil {
		return
	}
	l.Background.TryGo(func() {
		ctx, cancel := context.WithTimeout(l.closing, syncTimeout)
		defer cancel()
		pause := time.NewTicker(syncPause)
		defer pause.Stop()
		for restore(ctx) != nil {
			select {
			case <-ctx.Done():
				return
			case <-pause.C:
			}
		}
	})
}
