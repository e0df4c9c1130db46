package broker

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// existing serves a launch that comes with a URL from the session of the image
// that its user has: its go hook is shown the URL. A session without an id means
// that there is none, or that the image has no such hook.
//
// The key is reserved for the session before the hook runs, so that a repeat is
// answered with the session and does not run the hook again.
func (b *Broker) existing(ctx context.Context, l *launch) (staging.Session, error) {
	if l.image.ExecConfig.Go == nil || l.URL == "" {
		return staging.Session{}, nil
	}
	s, err := b.ownSession(ctx, l)
	if err != nil || s.ID == "" {
		return s, err
	}
	if !l.redisAway {
		store, cancel := context.WithTimeout(ctx, storeTimeout)
		defer cancel()
		r, err := b.Store.Adopt(store, l.IdempotencyKey, l.claim, s.ID)
		if err != nil {
			return staging.Session{}, refusal.NoRedis(err)
		}
		if err := l.held(r); err != nil {
			return staging.Session{}, err
		}
	}
	hook := hooksOf(s, l.image).Go
	if !b.hooks.take(ctx, b.o.Bounds.HookWait) {
		return staging.Session{}, refusal.AtBound(b.o.Bounds.Hooks, "hooks at once")
	}
	defer b.hooks.free()
	start := time.Now()
	err = b.Hooks.Run(ctx, s, staging.HookGo, *hook, l.in(s.Zone))
	l.timings.Hook += time.Since(start)
	if err != nil {
		b.attempt(l, staging.StepExisting, s.Zone, staging.OutcomeFailed, err.Error())
		b.hookFailed(l, s, staging.HookGo, err)
		return staging.Session{}, &refusal.Error{
			Kind: refusal.LaunchFailed, Cause: err,
			Detail: fmt.Sprintf("the user has session %s, which stays, and it could not be shown the URL: %s", s.ID, err),
		}
	}
	bind, cancelBind := context.WithTimeout(ctx, storeTimeout)
	defer cancelBind()
	if err := b.Store.Bind(bind, l.IdempotencyKey, l.claim.ID); err != nil {
		l.log().WithError(err).Warn("could not bind the idempotency key for good; a repeat after its lease runs the go hook again")
	}
	b.attempt(l, staging.StepExisting, s.Zone, staging.OutcomeServed, "the user has this session already; its go hook was run")
	return s, nil
}

// ownSession is the user's newest assigned session of the launch's image: by Redis, or
// by the fate records where Redis does not answer or is not believed.
func (b *Broker) ownSession(ctx context.Context, l *launch) (staging.Session, error) {
	start := time.Now()
	store, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	vouched, err := b.Store.Trusted(store, l.Zone)
	var all []staging.Session
	if err == nil && vouched {
		all, err = b.Store.UserSessions(store, l.User.ID)
	}
	l.timings.Claim += time.Since(start)
	if l.redisAway = err != nil; l.redisAway || !vouched {
		if all, err = b.fatedSessions(ctx, l); err != nil {
			return staging.Session{}, err
		}
	}
	var own staging.Session
	for _, s := range all {
		// It is run by the hooks that it was made with.
		if s.Image == l.Image && s.State == staging.Assigned && hooksOf(s, l.image).Go != nil {
			own = s
		}
	}
	return own, nil
}

// fatedSessions are the sessions that the fate records say are the user's and that
// Nomad has, oldest first.
func (b *Broker) fatedSessions(ctx context.Context, l *launch) ([]staging.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, consulTimeout)
	defer cancel()
	fates, err := b.Registry.Fates(ctx)
	if err != nil {
		return nil, refusal.NoConsul(err)
	}
	var all []staging.Session
	// Ids are sorted by time of creation.
	for _, id := range slices.Sorted(maps.Keys(fates)) {
		f := fates[id]
		if f.Verdict != staging.VerdictAssigned || f.Reason != "" || f.HookPending || f.User == nil || f.User.ID != l.User.ID {
			continue
		}
		if s, err := b.Fleet.Find(ctx, l.placed(id, f)); err == nil && s.AllocID != "" {
			all = append(all, f.Given(s))
		}
	}
	return all, nil
}
