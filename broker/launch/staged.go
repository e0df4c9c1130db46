package launch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/internal/tracing"
)

const (
	// maxClaims bounds how often a launch of one claims from the same candidate when the
	// sessions turn out to be lost or their hook fails, and how often a launch of several is
	// tried that loses one: then something is wrong with all of them, and going on would only
	// destroy more.
	maxClaims = 5
	// maxFailedHooks bounds how often a launch of several is tried whose assign hook fails:
	// each time all of its sessions are destroyed.
	maxFailedHooks = 2
)

// staged tries the candidates in their order. No sessions and no error: none could serve.
func (l *launch) staged(ctx context.Context, candidates []candidate) ([]staging.Session, error) {
	runs, release, err := l.acquireForHooks(ctx, candidates)
	if err != nil {
		return nil, err
	}
	defer func() { release() }()
	var short shortage
	for i, c := range candidates {
		if c.remote != nil {
			// What this broker may run at once is for its own region's launches meanwhile.
			release()
			sessions, err := l.cross(ctx, *c.remote, staging.StepStaged)
			if err != nil || sessions != nil {
				return sessions, err
			}
			if runs, release, err = l.acquireForHooks(ctx, candidates[i+1:]); err != nil {
				release = func() {}
				return nil, err
			}
			continue
		}
		if len(c.pools) == 0 {
			l.skipped(c)
			continue
		}
		if runs == 0 && l.hasAssignHook() {
			l.attempt(staging.StepStaged, c.zone, staging.OutcomeSkipped,
				fmt.Sprintf("this broker runs %d hooks at once, as many as it may", l.bounds.Hooks))
			continue
		}
		sessions, err := l.stagedFrom(ctx, c, runs, &short)
		if err != nil || sessions != nil {
			return sessions, err
		}
	}
	if l.Several() {
		return nil, l.unlessServed(ctx, short.refusal(l))
	}
	return nil, nil
}

// stagedFrom tries to serve the launch from one candidate.
func (l *launch) stagedFrom(ctx context.Context, c candidate, runs int, short *shortage) ([]staging.Session, error) {
	for tries := 0; tries < maxClaims || l.Several(); tries++ {
		if l.stopping.now() {
			return nil, brokerStops()
		}
		if err := l.checkServers(ctx, l.hasAssignHook()); err != nil {
			return nil, err
		}
		if err := l.rights.deniedLately(l.image.Name, c.zone); err != nil && l.hasAssignHook() {
			l.attempt(staging.StepStaged, c.zone, staging.OutcomeSkipped, err.Error())
			l.denied = err
			return nil, nil // the launch goes on down its list
		}
		taken, err := l.claimFrom(ctx, c, short)
		var away *refusal.Error
		if errors.As(err, &away) && away.Kind == refusal.RedisUnavailable {
			sessions, err := l.withoutRedis(ctx, c, runs, short)
			return sessions, l.unlessServed(ctx, err)
		}
		if err != nil {
			return nil, l.unlessServed(ctx, err)
		}
		if taken == nil {
			return nil, nil
		}
		sessions, err := l.commit(ctx, taken, runs)
		if errors.Is(err, errHookDenied) {
			l.denied = err
			return nil, nil
		}
		if !errors.Is(err, errLost) && !errors.Is(err, errHookFailed) {
			return sessions, err
		}
		if err := l.tooManyFailed(err); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// tooManyFailed counts a failed try of a launch of several, and refuses the launch past its
// bounds. A launch of one goes on down its list instead.
func (l *launch) tooManyFailed(failure error) error {
	if !l.Several() {
		return nil
	}
	if errors.Is(failure, errLost) {
		if l.lost++; l.lost == maxClaims {
			return &refusal.Error{Kind: refusal.NoCapacity, Cause: failure, Detail: fmt.Sprintf(
				"of the sessions that are shown as ready one was somebody's already, %d times; none was given: try again shortly", l.lost)}
		}
		return nil
	}
	if l.failedHooks++; l.failedHooks == maxFailedHooks {
		return &refusal.Error{Kind: refusal.LaunchFailed, Cause: failure, Detail: fmt.Sprintf(
			"%v: %s; all %d were destroyed, %d times: mend the image's assign hook",
			errHookFailed, l.attempts[len(l.attempts)-1].Reason, l.Count, l.failedHooks)}
	}
	return nil
}

// hasAssignHook reports whether an assign hook is to run in the sessions.
func (l *launch) hasAssignHook() bool { return l.image.ExecConfig.Assign != nil }

// acquireForHooks acquires the right to run the launch's assign hooks before anything is
// claimed, and returns how many may run at once; 0 where there is nothing to run, or where
// none came free in time: a launch of one then goes on to sessions made on demand, which
// have a bound of their own, and a launch of several is refused.
func (l *launch) acquireForHooks(ctx context.Context, candidates []candidate) (runs int, release func(), err error) {
	if !l.hasAssignHook() || !anyPools(candidates) {
		return 0, func() {}, nil
	}
	wait, cancel := l.stopping.orDone(ctx)
	defer cancel()
	runs = l.acquireHooks(wait, l.count())
	switch {
	case runs > 0:
		return runs, sync.OnceFunc(func() {
			// After the launch, so that opening the next shell does not compete with it.
			l.WakeShells()
			l.hooks.Release(int64(runs))
		}), nil
	case l.Several():
		return 0, nil, refusal.AtBound(l.bounds.Hooks, "hooks at once")
	}
	return 0, func() {}, nil
}

// claimFrom takes all of the launch's sessions from a candidate: one round trip to Redis.
// No sessions and no error: there are too few.
func (l *launch) claimFrom(ctx context.Context, c candidate, short *shortage) ([]staging.Session, error) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	claim := l.claim
	claim.Permits = l.settings.Permissions.Permits()
	claim.Revisions = l.revisions(c.pools)
	claim.Final = l.unfenced && !l.hasAssignHook()
	if l.Shells != nil && l.hasAssignHook() && !l.Several() {
		claim.Prefer = l.Shells.Armed(c.pools[0].Name)
	}
	ctx, span := tracing.Start(ctx, "claim")
	span.Set("db.system.name", "redis")
	span.Set("greenroom.zone", c.zone)
	r, err := l.Store.Claim(ctx, c.pools, l.count(), claim)
	span.End(err)
	l.timings.Claim += time.Since(start)
	l.claimedAt, l.repliedAt = r.At, time.Now()
	if err != nil {
		// Whether the claim happened is not known. If it did, the sessions are nobody's,
		// and the scaler ends them when the lease of a claim is over.
		return nil, refusal.NoRedis(err)
	}
	if err := l.refusedBy(ctx, r); err != nil {
		return nil, err
	}
	if r.Outcome == staging.ClaimTaken {
		// In another zone Redis may not have been trusted.
		l.redisAway, l.untrusted = false, false
		return r.Sessions, nil
	}
	if r.Outcome == staging.ClaimUntrusted || slices.Contains(r.Ready, staging.Untrusted) {
		l.untrusted = true
		return nil, refusal.NoRedis(errUntrusted)
	}
	short.add(l, c, r.Ready)
	return nil, nil
}

// errUntrusted: Redis answers, and is not trusted.
var errUntrusted = errors.New("no scaler has renewed its trust in what Redis holds of the zone")

// refusedBy turns the claim outcomes that end a launch into errors.
func (l *launch) refusedBy(ctx context.Context, r staging.ClaimResult) error {
	switch r.Outcome {
	case staging.ClaimRepeat:
		return &repeatError{}
	case staging.ClaimKeyReused:
		return keyReused()
	case staging.ClaimLimit, staging.ClaimImageLimit:
		return l.refusedByRedis(ctx, r.Held, r.Outcome == staging.ClaimImageLimit)
	}
	return nil
}

// shortage is how many sessions were ready, for each candidate that had too few.
type shortage struct{ ready []string }

// add records the attempts of a candidate with too few sessions; ready are those of each of
// its pools.
func (s *shortage) add(l *launch, c candidate, ready []int) {
	away := ""
	if l.redisAway {
		away = "; Redis does not answer, or is not trusted, and this is what passes its checks in Consul and has no fate"
	}
	sum := 0
	for i, pool := range c.pools[:min(len(c.pools), len(ready))] {
		reason := fmt.Sprintf("no session of %s is ready", pool.Name)
		if immediate(pool) {
			reason += " and of the current revision"
		}
		if l.Several() {
			reason = fmt.Sprintf("%d of the %d sessions are ready in %s", ready[i], l.Count, pool.Name)
		}
		l.attempt(staging.StepStaged, pool.Zone, staging.OutcomeEmpty, reason+away)
		sum += ready[i]
	}
	text := fmt.Sprint(sum)
	if l.Together {
		text += " in zone " + c.zone
	}
	s.ready = append(s.ready, text)
}

// refusal is the error of a launch of several for which too few sessions are ready.
func (s *shortage) refusal(l *launch) error {
	together := ""
	if l.Together {
		together = " in one zone"
	}
	if len(s.ready) == 0 {
		return &refusal.Error{Kind: refusal.NoCapacity, Detail: fmt.Sprintf("%d sessions are wanted at once, and no peer has as many; the attempts say why: try again shortly, or ask for fewer", l.Count)}
	}
	return &refusal.Error{Kind: refusal.NoCapacity, Detail: fmt.Sprintf(
		"%d sessions are wanted at once%s, and ready are %s; none was taken: try again shortly, ask for fewer, or raise desired_sessions",
		l.Count, together, strings.Join(s.ready, ", "))}
}

// checkServers reports, as an error, that a server which a claim needs does not answer:
// Consul, and Nomad where a hook is to run. Nothing has been claimed then.
func (l *launch) checkServers(ctx context.Context, hook bool) error {
	if err := l.late(); err != nil {
		return err
	}
	if err := l.consul.check(ctx, l.Fates.Ping); err != nil {
		return refusal.NoConsul(err)
	}
	if !hook {
		return nil
	}
	if err := l.nomad.check(ctx, l.Fleet.Ping); err != nil {
		return refusal.NoNomad(err)
	}
	return nil
}
