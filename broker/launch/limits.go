package launch

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// Bounds are how much a broker's launches do at once. Past a bound a launch is refused,
// or, for hooks, waits for a moment before it claims anything and then goes on down its
// list: a queue that grows would only serve everybody late.
type Bounds struct {
	// OnDemand bounds the launches for which a session is being made. Each holds a
	// connection to Nomad while it waits, and Nomad takes 100 from one address.
	OnDemand int
	// Hooks bounds the assign and go hooks that run. Each holds a connection to Nomad.
	Hooks int
	// HookWait is how long a launch waits to run its hooks: many launches at once are
	// served in a few rounds. Past it the launch goes on down its list.
	HookWait time.Duration
}

// DefaultBounds suit Nomad's own limits, with a scaler beside the broker.
var DefaultBounds = Bounds{OnDemand: 32, Hooks: 32, HookWait: 5 * time.Second}

// limits are the semaphores of Bounds.
type limits struct {
	bounds           Bounds
	onDemands, hooks *semaphore.Weighted
}

func newLimits(b Bounds) limits {
	b.OnDemand = cmp.Or(b.OnDemand, DefaultBounds.OnDemand)
	b.Hooks = cmp.Or(b.Hooks, DefaultBounds.Hooks)
	b.HookWait = cmp.Or(b.HookWait, DefaultBounds.HookWait)
	return limits{
		bounds: b, onDemands: semaphore.NewWeighted(int64(b.OnDemand)), hooks: semaphore.NewWeighted(int64(b.Hooks)),
	}
}

// acquireHooks acquires the right to run n hooks at once, or the bound where n exceeds it,
// and returns how many; 0 when HookWait passed first. The caller releases them.
func (l *limits) acquireHooks(ctx context.Context, n int) int {
	n = min(n, l.bounds.Hooks)
	if l.hooks.TryAcquire(int64(n)) {
		return n
	}
	ctx, cancel := context.WithTimeout(ctx, l.bounds.HookWait)
	defer cancel()
	if l.hooks.Acquire(ctx, int64(n)) != nil {
		return 0
	}
	return n
}

// maxSessions is how many sessions the user may have: what the user's groups say, else the
// broker's own limit; 0 for no limit.
func (l *launch) maxSessions() int {
	return cmp.Or(l.settings.MaxSessionsPerUser, l.maxSessionsPerUser)
}

// sessionLimit is the refusal of a launch that exceeds the limit of the user's sessions;
// held are the sessions that count, unhealthy those of them that are known not to be healthy.
func (l *launch) sessionLimit(held []string, unhealthy []staging.Session) *refusal.Error {
	from := "this broker's setting max_sessions_per_user allows"
	if group := l.settings.MaxSessionsFrom(); group != "" {
		from = "max_sessions_per_user of the user's group " + group + " allows"
	}
	detail := fmt.Sprintf("%s %d at once, and these count: %s; end one of them first", from, l.maxSessions(), joined(held))
	if l.Several() {
		counted := "none is there yet"
		if len(held) > 0 {
			counted = "these count: " + joined(held)
		}
		detail = fmt.Sprintf("%s %d at once, %d more are asked for, and %s; ask for fewer, or end some first", from, l.maxSessions(), l.Count, counted)
	}
	r := &refusal.Error{Kind: refusal.SessionLimit, Sessions: held, Detail: detail}
	for _, s := range unhealthy {
		r.Unhealthy = append(r.Unhealthy, s.ID)
		r.Detail += fmt.Sprintf("; session %s has been unhealthy since %s: if it is of no more use, end it with DELETE /v1/sessions/%s",
			s.ID, s.UnhealthySince.Format(time.RFC3339), s.ID)
	}
	return r
}

// unhealthyOf returns those of the user's sessions that are not healthy. It explains a
// refusal, which stands without it, so an error is none.
func (l *launch) unhealthyOf(ctx context.Context, held []string) []staging.Session {
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	theirs, err := l.Store.UserSessions(ctx, l.User.ID)
	if err != nil {
		l.log().WithError(err).Warn("could not read which of the user's sessions are unhealthy; the refusal does not say it")
		return nil
	}
	return slices.DeleteFunc(theirs, func(s staging.Session) bool {
		return s.UnhealthySince.IsZero() || !slices.Contains(held, s.ID)
	})
}
