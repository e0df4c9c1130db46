package broker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// searchTries bounds how many sessions one launch tries while Redis is away:
// others may be at the same ones, and only one can have each.
const searchTries = 16

// withoutRedis serves a launch from a pool while Redis is away: of the sessions
// whose checks Consul says pass, the oldest whose fate is open. It is slower than
// Redis, since many launches may try the same session; the fate record decides
// between them, as always.
func (b *Broker) withoutRedis(ctx context.Context, l *launch, pool staging.Config) (staging.Session, error) {
	if err := b.admitWithoutRedis(ctx, l); err != nil {
		return staging.Session{}, err
	}
	candidates, err := b.passing(ctx, l, pool)
	if err != nil {
		return staging.Session{}, refusal.NoConsul(err)
	}
	for _, s := range candidates[:min(len(candidates), searchTries)] {
		if l.tried[s.ID] {
			continue
		}
		found, err := b.locate(ctx, s)
		if err != nil {
			return staging.Session{}, refusal.NoNomad(err)
		}
		if found.AllocID == "" || found.Staging != pool.Name || found.Image != l.Image || found.Permits != l.settings.Permissions.Permits() {
			continue
		}
		found.State, found.Claim, found.User = staging.Claimed, l.claim.ID, &l.User
		if err := b.prepare(ctx, l, found); err != nil {
			continue
		}
		served, err := b.settle(ctx, l, found)
		if err != nil || served.ID != "" {
			if err == nil {
				b.Meter.WithoutRedis()
				l.log().WithField(logfield.Session, served.ID).Warn("served without Redis, from Consul's passing instances")
			}
			return served, err
		}
	}
	b.attempt(l, staging.StepStaged, pool.Zone, staging.OutcomeEmpty,
		fmt.Sprintf("Redis does not answer, and of %s Consul has no session that passes its checks and is nobody's", pool.Name))
	return staging.Session{}, nil
}

// passing are the pool's sessions that pass their checks and that Consul does not
// show as somebody's, oldest first.
func (b *Broker) passing(ctx context.Context, l *launch, pool staging.Config) ([]staging.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	found, err := b.Health.Passing(ctx, staging.PoolService(pool.Name))
	if err != nil {
		return nil, err
	}
	zone := l.resources.Zones[pool.Zone]
	var all []staging.Session
	for _, h := range found {
		if h.Passing && !h.Assigned {
			all = append(all, staging.Session{ID: h.Session, AllocID: h.AllocID, Zone: zone.Name, Namespace: zone.Namespace, Region: zone.Region})
		}
	}
	// Ids are sorted by time of creation.
	slices.SortFunc(all, func(a, b staging.Session) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// locate asks Nomad for what Redis would have told of a session. One that is
// not there any more, or is a clone, comes back without an allocation.
func (b *Broker) locate(ctx context.Context, s staging.Session) (staging.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, nomadTimeout)
	defer cancel()
	found, err := b.Fleet.Find(ctx, s)
	if errors.Is(err, staging.ErrNoSession) || err == nil && found.AllocID != s.AllocID {
		return staging.Session{}, nil
	}
	return found, err
}

// prepare sees to it that a session's first_launch hook has run: passing its
// checks does not say so.
func (b *Broker) prepare(ctx context.Context, l *launch, s staging.Session) error {
	hook := hooksOf(s, l.image).FirstLaunch
	if hook == nil {
		return nil
	}
	start := time.Now()
	defer func() { l.timings.Hook += time.Since(start) }()
	return b.Hooks.Run(ctx, s, staging.HookFirstLaunch, *hook, staging.Launch{})
}

// admitWithoutRedis asks Consul what Redis would have known: whether the launch
// is a repeat, and how many sessions its user has. Two launches of one user at
// the same moment may both be let in here; of one key they cannot, since the
// key's record is written with the fate.
func (b *Broker) admitWithoutRedis(ctx context.Context, l *launch) error {
	l.redisAway = true
	ctx, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	if l.IdempotencyKey != "" {
		hold, err := b.Registry.Key(ctx, l.IdempotencyKey)
		switch {
		case errors.Is(err, staging.ErrNoResource):
		case err != nil:
			return refusal.NoConsul(err)
		case hold.Claim != l.claim.ID:
			return b.repeatOf(ctx, l, hold)
		}
	}
	limit := l.settings.MaxSessionsPerUser
	if limit == 0 {
		return nil
	}
	fates, err := b.Registry.Fates(ctx)
	if err != nil {
		return refusal.NoConsul(err)
	}
	var held []string
	for id, f := range fates {
		if f.Verdict == staging.VerdictAssigned && f.Reason == "" && f.Claim != l.claim.ID && f.User != nil && f.User.ID == l.User.ID {
			if _, err := b.Fleet.Find(ctx, l.placed(id, f)); err == nil {
				held = append(held, id)
			}
		}
	}
	if len(held) < limit {
		return nil
	}
	slices.Sort(held)
	return sessionLimit(l, held)
}

// placed is what is needed to ask Nomad for a session by its fate.
func (l *launch) placed(id string, f staging.Fate) staging.Session {
	zone := l.resources.Zones[f.Zone]
	return staging.Session{ID: id, Zone: f.Zone, Namespace: zone.Namespace, Region: zone.Region}
}

// servedError carries the session, or the several, that an earlier launch with the key
// gave.
type servedError struct{ sessions []staging.Session }

func (*servedError) Error() string { return "an earlier launch with the idempotency key was served" }

// registeredWithin is how long after its fate was decided a session made on demand may
// not have a job in Nomad yet.
const registeredWithin = nomadTimeout + consulTimeout

// repeatOf answers a launch whose key Consul says is another's: with that one's
// session, or all of several, when its fate says that it was given.
func (b *Broker) repeatOf(ctx context.Context, l *launch, hold staging.KeyHold) error {
	if hold.Fingerprint != l.claim.Fingerprint {
		return keyReused()
	}
	s, f, err := b.given(ctx, l, hold, hold.Session)
	if err != nil {
		return err
	}
	all := []staging.Session{s}
	for _, id := range f.Sessions {
		if id == hold.Session {
			continue
		}
		if s, _, err = b.given(ctx, l, hold, id); err != nil {
			return err
		}
		all = append(all, s)
	}
	return &servedError{sessions: all}
}

// given finds a session that the launch which holds the key was given, and its fate.
func (b *Broker) given(ctx context.Context, l *launch, hold staging.KeyHold, id string) (staging.Session, staging.Fate, error) {
	f, err := b.Registry.Fate(ctx, id)
	s := staging.Session{}
	switch {
	case errors.Is(err, staging.ErrNoResource):
		return s, f, keyEnded()
	case err != nil:
		return s, f, refusal.NoConsul(err)
	case f.Reason != "":
		// That launch never finished, and its session was taken from it: the key is
		// free for the next try.
		if err := b.Registry.ReleaseKey(ctx, l.IdempotencyKey, hold.Claim); err != nil {
			return s, f, refusal.NoConsul(err)
		}
		return s, f, keyInFlight()
	case f.Claim != hold.Claim || f.HookPending:
		return s, f, keyInFlight()
	}
	s, err = b.Fleet.Find(ctx, l.placed(f.Session, f))
	switch {
	case errors.Is(err, staging.ErrNoSession) && time.Since(f.DecidedAt) < registeredWithin:
		return s, f, keyInFlight() // its job may not be registered yet
	case errors.Is(err, staging.ErrNoSession):
		return s, f, keyEnded()
	case err != nil:
		return s, f, refusal.NoNomad(err)
	case s.AllocID == "" || s.Origin == staging.OnDemand && !b.up(ctx, s):
		return s, f, keyInFlight()
	}
	return f.Given(s), f, nil
}

// up reports whether a session made on demand is up, by Consul's word.
func (b *Broker) up(ctx context.Context, s staging.Session) bool {
	found, err := b.Health.Passing(ctx, s.Service())
	return err == nil && slices.ContainsFunc(found, func(h staging.Health) bool { return h.AllocID == s.AllocID && h.Passing })
}

// Of telling Redis what was done without it: how often it is tried, and for how long.
const (
	tellPause   = 250 * time.Millisecond
	tellTimeout = 2 * time.Minute
)

// tellRedis notes an assignment in Redis: at once where Redis answers and was only not
// believed, else as soon as it is back, behind the answer,
// so that a repeat finds its session there. Should this broker end before, or have no
// room for it, the scaler does it, from the fate record.
func (b *Broker) tellRedis(l *launch, s staging.Session) {
	f := staging.Fate{IdempotencyKey: l.IdempotencyKey, Fingerprint: l.claim.Fingerprint}
	if l.unvouched {
		// It answers, so whoever asks next must find there what this launch is told.
		ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
		defer cancel()
		if _, err := b.Store.Restore(ctx, s, f); err == nil {
			return
		}
	}
	b.behindIfRoom(func() {
		ctx, cancel := context.WithTimeout(b.closing, tellTimeout)
		defer cancel()
		pause := time.NewTicker(tellPause)
		defer pause.Stop()
		for {
			call, done := context.WithTimeout(ctx, storeTimeout)
			_, err := b.Store.Restore(call, s, f)
			done()
			if err == nil {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-pause.C:
			}
		}
	})
}

// letKeyGo frees the key of a launch that gave no session.
func (b *Broker) letKeyGo(l *launch) {
	if l.keyIndex == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), consulTimeout)
	defer cancel()
	if err := b.Registry.ReleaseKey(ctx, l.IdempotencyKey, l.claim.ID); err != nil {
		l.log().WithError(err).Warn("could not let the idempotency key go in Consul; it goes with the session that it names")
	}
}
