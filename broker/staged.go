package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// stageable reports whether a staged session can honour the launch's settings.
// What it cannot is noted, and the steps that it rules out.
func (b *Broker) stageable(l *launch) bool {
	found := staging.Violations(l.image, l.settings)
	for _, v := range found {
		b.violated(l, v)
		b.attempt(l, staging.StepStaged, l.Zone, staging.OutcomeSkipped, fmt.Sprintf("no staged session can honour %s", v))
	}
	return len(found) == 0
}

// violated notes a setting that no staged session can honour: in the log, the
// metrics and the events.
func (b *Broker) violated(l *launch, v staging.Violation) {
	b.Meter.Violation(v)
	follows := "the session is made on demand"
	if l.Several() {
		follows = "several sessions are not made on demand"
	}
	l.log().WithFields(logrus.Fields{logfield.Setting: v.Setting, logfield.Where: v.Where}).
		Warn("violation: a staged session cannot honour this setting; " + follows)
	b.note(l, staging.Event{
		Type: staging.EventViolation, Zone: l.Zone, Image: l.Image, User: l.User.ID, Setting: v.Setting, Where: v.Where,
	})
}

// note keeps an event, behind the answer.
func (b *Broker) note(l *launch, e staging.Event) {
	e.RequestID = l.RequestID
	b.behind(func() {
		ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
		defer cancel()
		if err := b.Store.Note(ctx, e); err != nil {
			l.log().WithError(err).WithField(logfield.Event, e.Type).Warn("could not keep an event; the log has it")
		}
	})
}

// poolsAt are the zone's pools of the launch's image, or why none of them may serve it.
func (l *launch) poolsAt(p place) (pools []staging.Config, skip string) {
	if p.skip != "" {
		return nil, p.skip
	}
	if pools = l.resources.Pools(p.zone.Name, l.Image); len(pools) == 0 {
		return nil, fmt.Sprintf("no staging config for image %s in zone %s", l.Image, p.zone.Name)
	}
	// What may still be there was made for access settings that no longer hold.
	return pools, p.zone.WhyNotStageable()
}

// stagedIn tries to serve the launch from the zone's pools. A session without
// an id means that none could, and that the next step is to be tried.
func (b *Broker) stagedIn(ctx context.Context, l *launch, p place) (staging.Session, error) {
	pools, skip := l.poolsAt(p)
	if skip != "" {
		b.attempt(l, staging.StepStaged, p.zone.Name, staging.OutcomeSkipped, skip)
		return staging.Session{}, nil
	}
	for _, pool := range pools {
		if differ := staging.PoolViolations(pool, l.settings); len(differ) > 0 {
			for _, v := range differ {
				b.violated(l, v)
				b.attempt(l, staging.StepStaged, p.zone.Name, staging.OutcomeSkipped, fmt.Sprintf("the sessions of %s cannot honour %s", pool.Name, v))
			}
			continue
		}
		s, err := b.staged(ctx, l, pool)
		if err != nil || s.ID != "" {
			return s, err
		}
	}
	return staging.Session{}, nil
}

// maxClaims bounds how many sessions of one pool one launch may use up when
// they turn out to be lost or their hook fails: past it something is wrong with
// all of them, and going on would only destroy more.
const maxClaims = 5

// staged tries to serve the launch from a pool.
func (b *Broker) staged(ctx context.Context, l *launch, pool staging.Config) (staging.Session, error) {
	hook := l.image.ExecConfig.Assign != nil
	if hook {
		if !b.hooks.take(ctx, b.o.Bounds.HookWait) {
			// Those made on demand have a bound of their own, past which it is refused.
			b.attempt(l, staging.StepStaged, pool.Zone, staging.OutcomeSkipped,
				fmt.Sprintf("this broker runs %d hooks at once, as many as it may", b.o.Bounds.Hooks))
			return staging.Session{}, nil
		}
		defer b.hooks.free()
		// Another shell is opened once this launch has had the machine to itself.
		defer b.wantArmed()
	}
	for range maxClaims {
		if err := b.answers(ctx, hook); err != nil {
			return staging.Session{}, err
		}
		s, err := b.take(ctx, l, pool)
		var away *refusal.Error
		if errors.As(err, &away) && away.Kind == refusal.RedisUnavailable {
			return b.withoutRedis(ctx, l, pool)
		}
		if err != nil || s.ID == "" {
			return s, err
		}
		served, err := b.settle(ctx, l, s)
		if err != nil || served.ID != "" {
			return served, err
		}
	}
	return staging.Session{}, nil
}

// answers reports, as an error, that a server which a claim needs is known not to
// answer: Consul, and Nomad where a hook is to run. Nothing has been claimed then.
func (b *Broker) answers(ctx context.Context, hook bool) error {
	if err := b.consul.away(ctx, b.Registry.Ping); err != nil {
		return refusal.NoConsul(err)
	}
	if !hook {
		return nil
	}
	if err := b.nomad.away(ctx, b.Fleet.Ping); err != nil {
		return refusal.NoNomad(err)
	}
	return nil
}

// take pops the pool's oldest ready session: one round trip to Redis.
func (b *Broker) take(ctx context.Context, l *launch, pool staging.Config) (staging.Session, error) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	claim := l.claim
	claim.Zone, claim.Permits = pool.Zone, l.settings.Permissions.Permits()
	claim.Final = b.o.Unfenced && l.image.ExecConfig.Assign == nil
	if b.Shells != nil && l.image.ExecConfig.Assign != nil {
		claim.Prefer = b.Shells.Armed(pool.Name)
	}
	r, err := b.Store.Claim(ctx, pool.Name, claim)
	l.timings.Claim += time.Since(start)
	l.claimedAt, l.heardAt = r.At, time.Now()
	if r.Outcome == staging.ClaimTaken {
		// Of another zone Redis may not have been believed.
		l.redisAway, l.unvouched = false, false
	}
	if err != nil {
		// Whether the claim happened is not known. If it did, the session is
		// nobody's, and the scaler ends it when the lease of a claim is over.
		return staging.Session{}, refusal.NoRedis(err)
	}
	if err := l.held(r); err != nil {
		return staging.Session{}, err
	}
	if r.Outcome == staging.ClaimUntrusted {
		l.unvouched = true
		return staging.Session{}, refusal.NoRedis(errUntrusted)
	}
	if r.Outcome == staging.ClaimEmpty {
		b.attempt(l, staging.StepStaged, pool.Zone, staging.OutcomeEmpty, fmt.Sprintf("no session of %s is ready", pool.Name))
	}
	return r.Session, nil
}

// errUntrusted: Redis answers, and is not believed.
var errUntrusted = errors.New("no scaler has vouched of late for what Redis says of the zone")

// errStale: the claim is too old to be decided.
var errStale = errors.New("the claim was made too long ago to be decided now")

// held turns the outcomes that end a launch into errors.
func (l *launch) held(r staging.ClaimResult) error {
	switch r.Outcome {
	case staging.ClaimRepeat:
		return &repeatError{}
	case staging.ClaimKeyReused:
		return keyReused()
	case staging.ClaimLimit:
		return sessionLimit(l, r.Held)
	}
	return nil
}

// settle has the fate of a claimed session decided, runs the assign hook and
// finishes the assignment. A session without an id means that this one did not
// work out, and that another may be tried.
func (b *Broker) settle(ctx context.Context, l *launch, s staging.Session) (staging.Session, error) {
	s.Terms = l.claim.Terms
	l.tried[s.ID] = true
	hook := hooksOf(s, l.image).Assign
	failed := func(reason string) { b.attempt(l, staging.StepStaged, s.Zone, staging.OutcomeFailed, reason) }
	var assignment Assignment
	if hook != nil {
		// While Consul decides, a shell that waits there is asked whether it lives.
		assignment = b.Hooks.Ready(ctx, s, *hook)
		defer assignment.Drop()
	}
	fate, won, err := b.decide(ctx, l, s, hook != nil)
	var held *staging.KeyHeldError
	if errors.As(err, &held) {
		// Redis did not know of the launch that has the key.
		b.attempt(l, staging.StepStaged, s.Zone, staging.OutcomeLost, "another launch holds the idempotency key")
		b.giveBack(ctx, l, s, "its launch was a repeat")
		return staging.Session{}, b.repeatOf(ctx, l, held.KeyHold)
	}
	if err != nil {
		b.consul.raise()
		failed("Consul did not record the assignment")
		b.giveUp(ctx, l, s, "its assignment could not be recorded in Consul")
		return staging.Session{}, refusal.NoConsul(err)
	}
	if !won {
		b.attempt(l, staging.StepStaged, s.Zone, staging.OutcomeLost, fmt.Sprintf("session %s was already %s", s.ID, fate.Verdict))
		b.unhold(ctx, l)
		b.yieldTo(l, s, fate)
		return staging.Session{}, nil
	}
	if hook != nil {
		start := time.Now()
		err := assignment.Run(ctx, l.in(s.Zone))
		l.timings.Hook += time.Since(start)
		if err != nil {
			failed(err.Error())
			b.hookFailed(l, s, staging.HookAssign, err)
			if untouched(err) {
				b.nomad.raise()
			}
			b.abandon(ctx, l, s, err.Error())
			return staging.Session{}, nil
		}
		if err := b.finish(ctx, l, fate); err != nil && !b.finished(ctx, l, s, fate) {
			b.consul.raise()
			failed("Consul did not record the end of the assign hook")
			return staging.Session{}, refusal.NoConsul(err)
		}
	}
	b.attempt(l, staging.StepStaged, s.Zone, staging.OutcomeServed, "")
	if s.State == staging.Assigned {
		return s, nil
	}
	// An assigned session does not expire: expiration is for those that wait.
	s.ExpiresAt = time.Time{}
	return b.assignedBehind(ctx, l, s)
}

// hooksOf are the hooks that a session was made with.
func hooksOf(s staging.Session, now staging.Image) staging.ExecConfig {
	if s.Hooks != nil {
		return *s.Hooks
	}
	return now.ExecConfig
}

// untouched: the hook never began, so it is not the image that failed.
func untouched(err error) bool {
	var failure *staging.HookError
	return errors.As(err, &failure) && failure.Untouched
}

// hookFailed keeps what a failed hook wrote.
func (b *Broker) hookFailed(l *launch, s staging.Session, name staging.HookName, err error) {
	b.Meter.HookFailed(name)
	e := staging.Event{
		Type: staging.EventHookFailed, Session: s.ID, Pool: s.Staging, Zone: s.Zone, Image: s.Image, User: l.User.ID,
		Hook: name, Reason: err.Error(),
	}
	var failure *staging.HookError
	if errors.As(err, &failure) {
		e.Stdout, e.Stderr = failure.Stdout, failure.Stderr
	}
	b.note(l, e)
}
