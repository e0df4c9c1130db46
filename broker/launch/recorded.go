package launch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// Sessions by their fate records and Nomad alone, without Redis.

// registeredWithin is how long after its fate was decided the job of a session made on
// demand may not be registered in Nomad yet. It is counted from when this broker first read
// the fate: the time in the fate is that of another host's clock.
const registeredWithin = deadline.Nomad + deadline.Consul

// jobless remembers since when this broker finds no job of sessions whose fates it reads.
type jobless struct {
	mu    sync.Mutex
	since map[string]time.Time
}

// maxJobless bounds the memory of jobless. A session that is dropped from it counts as fresh
// once more.
const maxJobless = 4096

// fresh reports whether a session without a job may still get one.
func (j *jobless) fresh(session string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now()
	since, known := j.since[session]
	if !known {
		if j.since == nil || len(j.since) >= maxJobless {
			j.since = map[string]time.Time{}
		}
		since = now
		j.since[session] = since
	}
	return now.Sub(since) < registeredWithin
}

// located is what Nomad needs to be asked for a session, from its fate.
func (l *launch) located(id string, f staging.Fate) staging.Session {
	zone := l.resources.Zones[f.Zone]
	return staging.Session{ID: id, Zone: f.Zone, Namespace: f.NamespaceIn(zone), Region: zone.Region}
}

// userFates are the fates that assign a session to the launch's user and that stand, in
// the order of the sessions' creation.
func (l *launch) userFates(ctx context.Context) ([]staging.Fate, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	own, err := l.decided.of(ctx, l.User.ID)
	if err != nil {
		return nil, refusal.NoConsul(err)
	}
	for _, f := range own {
		// Nomad is asked for a session in its zone's namespace.
		if err := refusal.Unreadable(l.resources, staging.KindZone, f.Zone); err != nil {
			return nil, err
		}
	}
	return own, nil
}

// recordedSessions are the sessions that the fate records assign to the user and that
// Nomad runs, oldest first.
func (l *launch) recordedSessions(ctx context.Context) ([]staging.Session, error) {
	fates, err := l.userFates(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, deadline.Nomad)
	defer cancel()
	var all []staging.Session
	for _, f := range fates {
		if f.HookPending {
			continue
		}
		if s, err := l.Fleet.Find(ctx, l.located(f.Session, f)); err == nil && s.AllocID != "" {
			all = append(all, f.Given(s))
		}
	}
	return all, nil
}

// recordedSession reads a session of the launch that holds the key in Consul, and its
// fate. While that launch is under way it is a KeyInFlight refusal.
func (l *launch) recordedSession(ctx context.Context, hold staging.KeyHold, id string) (staging.Session, staging.Fate, error) {
	f, err := l.Fates.Fate(ctx, id)
	s := staging.Session{}
	switch {
	case errors.Is(err, staging.ErrNoResource):
		return s, f, keyEnded()
	case err != nil:
		return s, f, refusal.NoConsul(err)
	case f.Verdict == staging.VerdictUnreadable:
		return s, f, &refusal.Error{Kind: refusal.ResourceUnreadable, Detail: f.Reason + ": whose the session of this key is cannot be found out; an administrator ends it, or repairs the key"}
	case f.Reason != "":
		// That launch never finished, and its session was taken from it: the key is
		// free for the next try.
		if err := l.Fates.ReleaseKey(ctx, l.IdempotencyKey, hold.Claim); err != nil {
			return s, f, refusal.NoConsul(err)
		}
		return s, f, keyInFlight()
	case f.Claim == hold.Claim && !l.isUsers(f.User):
		return s, f, keyReused()
	case f.Claim != hold.Claim || f.HookPending:
		return s, f, keyInFlight()
	}
	if err := refusal.Unreadable(l.resources, staging.KindZone, f.Zone); err != nil {
		return s, f, err
	}
	s, err = l.Fleet.Find(ctx, l.located(f.Session, f))
	switch {
	case errors.Is(err, staging.ErrNoSession) && !errors.Is(err, staging.ErrSessionOver) && l.jobless.fresh(f.Session):
		return s, f, keyInFlight()
	case errors.Is(err, staging.ErrNoSession):
		return s, f, keyEnded()
	case err != nil:
		return s, f, refusal.NoNomad(err)
	case s.AllocID == "" || s.Origin == staging.OnDemand && !l.passes(ctx, s):
		return s, f, keyInFlight()
	}
	return f.Given(s), f, nil
}

// passes reports whether a session made on demand passes its checks in Consul.
func (l *launch) passes(ctx context.Context, s staging.Session) bool {
	found, err := l.Health.Passing(ctx, s.Service())
	return err == nil && slices.ContainsFunc(found, func(h staging.Health) bool { return h.AllocID == s.AllocID && h.Passing })
}
