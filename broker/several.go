package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// LaunchSeveral gives a user as many sessions as the launch asks for, or none: a class,
// a match. They are staged ones, of the zone or of its alternate zones, where it
// searches them; together they are of one zone. None is made on demand, so a launch for
// which too few are ready is refused at once and takes none.
//
// Each step is one for all of them: the claim in Redis, the fates in Consul, their
// finish. The same Idempotency-Key gives the same sessions. Errors and ctx are as
// Launch's.
func (b *Broker) LaunchSeveral(ctx context.Context, req LaunchRequest) ([]LaunchResult, error) {
	l, err := b.newLaunch(ctx, req)
	if err != nil {
		return nil, err
	}
	for {
		l.attempts = nil
		all, err := b.serveSeveral(ctx, l)
		var repeat *repeatError
		if errors.As(err, &repeat) {
			all, err := b.awaitSeveral(ctx, l)
			if errors.Is(err, errKeyFree) {
				continue
			}
			return all, err
		}
		var served *servedError
		if errors.As(err, &served) {
			b.rebind(ctx, l, served.sessions)
			return b.repeatedSeveral(l, served.sessions), nil
		}
		if err != nil {
			return nil, b.refuse(ctx, l, err)
		}
		for range all {
			b.Meter.Launched(staging.Staged, l.timings)
		}
		return l.results(all), nil
	}
}

// results is the launch's answer with all of its sessions.
func (l *launch) results(all []staging.Session) []LaunchResult {
	results := make([]LaunchResult, len(all))
	for i, s := range all {
		results[i] = l.result(s)
	}
	return results
}

// hookTries bounds how often a launch of several is tried whose assign hook fails in
// one of them: each time all of them are destroyed.
const hookTries = 2

// errSomebodys: one of the sessions was somebody's already; others may be tried.
var errSomebodys = errors.New("one of the sessions was somebody's already")

// errHook: the assign hook failed in one of the sessions, and all are destroyed.
var errHook = errors.New("the assign hook failed in one of the sessions")

// serveSeveral claims and settles until all of the sessions are the user's.
func (b *Broker) serveSeveral(ctx context.Context, l *launch) ([]staging.Session, error) {
	choices, skipped, err := b.choices(l)
	if err != nil {
		return nil, err
	}
	hook, places := l.image.ExecConfig.Assign != nil, 0
	if hook {
		if places = b.gather(ctx, b.hooks, l.Count, b.o.Bounds.HookWait); places == 0 {
			return nil, refusal.AtBound(b.o.Bounds.Hooks, "hooks at once")
		}
		defer func() {
			for range places {
				b.hooks.free()
			}
		}()
	}
	for lost, failed := 0, 0; ; {
		if err := b.answers(ctx, hook); err != nil {
			return nil, err
		}
		taken, err := b.takeSeveral(ctx, l, choices)
		if err != nil {
			for _, a := range skipped {
				b.attempt(l, a.Step, a.Zone, a.Outcome, a.Reason)
			}
			return nil, b.unlessServed(ctx, l, err)
		}
		served, err := b.settleSeveral(ctx, l, taken, places)
		switch {
		case errors.Is(err, errSomebodys):
			if lost++; lost == maxClaims {
				return nil, &refusal.Error{Kind: refusal.NoCapacity, Cause: err, Detail: fmt.Sprintf(
					"of the sessions that Redis calls ready one was somebody's already, %d times; none was given: try again shortly", lost)}
			}
		case errors.Is(err, errHook):
			if failed++; failed == hookTries {
				return nil, &refusal.Error{Kind: refusal.LaunchFailed, Cause: err, Detail: fmt.Sprintf(
					"%v: %s; all %d were destroyed, %d times: mend the image's assign hook",
					errHook, l.attempts[len(l.attempts)-1].Reason, l.Count, failed)}
			}
		default:
			return served, err
		}
	}
}

// choices are the pools that may serve the launch, in their order: all in one choice,
// or, where the sessions are to be together, one choice a zone. skipped are the zones
// and pools that may not, which only matters where the others do not serve. Where
// nothing could ever serve it, the error says why.
func (b *Broker) choices(l *launch) (choices [][]staging.Config, skipped []staging.Attempt, err error) {
	var why []string
	for _, v := range staging.Violations(l.image, l.settings) {
		b.violated(l, v)
		why = append(why, fmt.Sprintf("no staged session can honour %s", v))
	}
	if len(why) > 0 {
		return nil, nil, notSeveral(why)
	}
	here, elsewhere := l.places()
	for _, p := range append(here, elsewhere...) {
		no := func(reason string) {
			skipped = append(skipped, staging.Attempt{Step: staging.StepStaged, Zone: p.zone.Name, Outcome: staging.OutcomeSkipped, Reason: reason})
			why = append(why, reason)
		}
		pools, skip := l.poolsAt(p)
		if skip != "" {
			no(skip)
			continue
		}
		var fit []staging.Config
		for _, pool := range pools {
			differ := staging.PoolViolations(pool, l.settings)
			for _, v := range differ {
				b.violated(l, v)
				no(fmt.Sprintf("the sessions of %s cannot honour %s", pool.Name, v))
			}
			if len(differ) == 0 {
				fit = append(fit, pool)
			}
		}
		switch {
		case len(fit) == 0:
		case l.Together || len(choices) == 0:
			choices = append(choices, fit)
		default:
			choices[0] = append(choices[0], fit...)
		}
	}
	if len(choices) == 0 {
		return nil, nil, notSeveral(why)
	}
	return choices, skipped, nil
}

// notSeveral tells that no wait will help.
func notSeveral(why []string) error {
	return staging.Invalid("launch", "count",
		"cannot be served: several sessions are given from what is staged alone, and %s; launch one at a time", strings.Join(why, "; "))
}

// takeSeveral claims all of the sessions from the first choice that has so many: one
// round trip to Redis for each choice that is tried.
func (b *Broker) takeSeveral(ctx context.Context, l *launch, choices [][]staging.Config) ([]staging.Session, error) {
	ready, believed := []string{}, false
	for _, pools := range choices {
		r, err := b.claimSeveral(ctx, l, pools)
		if err != nil {
			// Whether the claim happened is not known. If it did, the sessions are
			// nobody's, and the scaler ends them when the lease of a claim is over.
			return nil, refusal.NoRedis(err)
		}
		if err := l.held(r.ClaimResult); err != nil {
			return nil, err
		}
		if r.Outcome == staging.ClaimTaken {
			return r.Sessions, nil
		}
		believed = believed || r.Outcome == staging.ClaimEmpty
		sum := 0
		for i, pool := range pools[:len(r.Ready)] {
			if r.Ready[i] == staging.Untrusted {
				b.attempt(l, staging.StepStaged, pool.Zone, staging.OutcomeSkipped, errUntrusted.Error())
				continue
			}
			sum += r.Ready[i]
			b.attempt(l, staging.StepStaged, pool.Zone, staging.OutcomeEmpty,
				fmt.Sprintf("%d of the %d sessions are ready in %s", r.Ready[i], l.Count, pool.Name))
		}
		ready = append(ready, fmt.Sprintf("%d", sum))
		if l.Together {
			ready[len(ready)-1] += " in zone " + pools[0].Zone
		}
	}
	if !believed {
		return nil, refusal.NoRedis(errUntrusted)
	}
	together := ""
	if l.Together {
		together = " in one zone"
	}
	return nil, &refusal.Error{Kind: refusal.NoCapacity, Detail: fmt.Sprintf(
		"%d sessions are wanted at once%s, and ready are %s; none was taken: try again shortly, ask for fewer, or raise desired_sessions",
		l.Count, together, strings.Join(ready, ", "))}
}

func (b *Broker) claimSeveral(ctx context.Context, l *launch, pools []staging.Config) (staging.SeveralResult, error) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	claim := l.claim
	claim.Permits = l.settings.Permissions.Permits()
	claim.Final = b.o.Unfenced && l.image.ExecConfig.Assign == nil
	defer b.wantArmed()
	r, err := b.Store.ClaimSeveral(ctx, pools, l.Count, claim)
	l.timings.Claim += time.Since(start)
	l.claimedAt, l.heardAt = r.At, time.Now()
	return r, err
}

// severalLimit tells a user that so many more are too many.
func severalLimit(l *launch, held []string) *refusal.Error {
	counted := "none is there yet"
	if len(held) > 0 {
		counted = "these count: " + joined(held)
	}
	return &refusal.Error{
		Kind: refusal.SessionLimit, Sessions: held,
		Detail: fmt.Sprintf("the user's groups allow %d at once, %d more are asked for, and %s; ask for fewer, or end some first",
			l.settings.MaxSessionsPerUser, l.Count, counted),
	}
}

func idsOf(all []staging.Session) []string {
	ids := make([]string, len(all))
	for i, s := range all {
		ids[i] = s.ID
	}
	return ids
}
