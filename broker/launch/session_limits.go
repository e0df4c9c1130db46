package launch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// Limits of how many sessions may exist. A staged session counts from when its job is made, so
// that to give it to a user exceeds no max_sessions; one that is made on demand needs a place.
// How many sessions a user has is counted by the script in Redis that claims, and without
// Redis by their fates.

// userLimits are the limits of the user's sessions that the launch counts for.
func (l *launch) userLimits() []staging.SessionLimit {
	return l.settings.UserLimits(l.User, l.image, l.maxSessionsPerUser)
}

// refusedByRedis is the refusal of a launch whose user has as many sessions as a limit allows,
// by Redis; ofImage: the image's limit.
func (l *launch) refusedByRedis(ctx context.Context, held []string, ofImage bool) error {
	for _, limit := range l.userLimits() {
		if ofImage == (limit.Kind == staging.KindImage) {
			return l.userLimit(staging.LimitReached{SessionLimit: limit, InUse: len(held)}, held, l.unhealthyOf(ctx, held))
		}
	}
	return errors.New("redis refused a launch for a limit that it was not sent")
}

// userLimit is the refusal of a launch that exceeds a limit of the user's sessions; held are
// the sessions that count, unhealthy those of them that are known not to be healthy.
func (l *launch) userLimit(reached staging.LimitReached, held []string, unhealthy []staging.Session) *refusal.Error {
	detail := fmt.Sprintf("%s allows %d at once, and these count: %s; end one of them first", reached, reached.Max, joined(held))
	if l.Several() {
		counted := "none is there yet"
		if len(held) > 0 {
			counted = "these count: " + joined(held)
		}
		detail = fmt.Sprintf("%s allows %d at once, %d more are asked for, and %s; ask for fewer, or end some first", reached, reached.Max, l.Count, counted)
	}
	r := &refusal.Error{Kind: refusal.SessionLimit, Sessions: held, Limit: &reached, Detail: detail}
	for _, s := range unhealthy {
		r.Unhealthy = append(r.Unhealthy, s.ID)
		r.Detail += fmt.Sprintf("; session %s has been unhealthy since %s: if it is of no more use, end it with DELETE /v1/sessions/%s",
			s.ID, s.UnhealthySince.Format(time.RFC3339), s.ID)
	}
	return r
}

// admitUser reserves, without Redis, the user's place under the limits of the user's sessions.
func (l *launch) admitUser(ctx context.Context) error {
	use := staging.SessionUse{Image: l.Image, Claim: l.claim.ID, UserID: l.User.ID}
	reached, err := l.reserve(ctx, staging.Reservation{Holder: l.claim.ID, SessionUse: use, Count: l.count(), Given: true}, l.userLimits())
	if err != nil || reached == nil {
		return err
	}
	return l.userLimit(*reached, reached.Sessions(), nil)
}

// reserveMade reserves a place for a session that is made on demand.
func (l *launch) reserveMade(ctx context.Context, s staging.Session) error {
	use := staging.SessionUse{Session: s.ID, Image: s.Image, Zone: s.Zone, Claim: s.Claim}
	limits := l.resources.LimitsOf(use)
	if len(limits) > 0 {
		l.registerBy = earlier(l.registerBy, time.Now().Add(staging.ReservationUse))
	}
	reached, err := l.reserve(ctx, staging.Reservation{Holder: s.ID, SessionUse: use, Count: 1}, limits)
	if err != nil || reached == nil {
		return err
	}
	detail := fmt.Sprintf("%s allows %d at once, staged and assigned together, and %d are in use", reached, reached.Max, reached.InUse)
	if idle := l.idle(ctx, reached.Existing); idle != "" {
		detail += ", of which no user has " + idle + ": a launch that those suit is given one of them"
	}
	return &refusal.Error{
		Kind: refusal.SessionLimit, Limit: reached,
		Detail: detail + "; end one, or have an administrator raise the limit",
	}
}

// idle counts, by pool, those of some sessions that are staged and that no user has; "" where
// there is none. It explains a refusal, which stands without it, so an error is none. Zones that
// the user may not have are not named.
func (l *launch) idle(ctx context.Context, existing []staging.SessionUse) string {
	var staged []string
	for _, u := range existing {
		if u.Staging != "" && len(l.visible([]string{u.Zone})) > 0 {
			staged = append(staged, u.Session)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	decided, err := l.Fates.Decided(ctx, staged)
	if err != nil {
		l.log().WithError(err).Warn("could not read which sessions are nobody's; the refusal does not say it")
		return ""
	}
	pools := map[string]int{}
	for _, u := range existing {
		if slices.Contains(staged, u.Session) && !decided[u.Session] {
			pools[fmt.Sprintf("of %s in zone %s", u.Staging, u.Zone)]++
		}
	}
	var parts []string
	for _, pool := range slices.Sorted(maps.Keys(pools)) {
		parts = append(parts, fmt.Sprintf("%d %s", pools[pool], pool))
	}
	return joined(parts)
}

// reserve reserves a place under limits until releaseReserved, or returns the limit that is
// reached.
func (l *launch) reserve(ctx context.Context, r staging.Reservation, limits []staging.SessionLimit) (*staging.LimitReached, error) {
	if len(limits) == 0 {
		return nil, nil
	}
	began := time.Now()
	defer func() { l.timings.Fence += time.Since(began) }()
	ctx, cancel := context.WithTimeout(ctx, deadline.Nomad)
	defer cancel()
	reached, err := l.Quota.Reserve(ctx, r, limits)
	switch {
	case errors.Is(err, staging.ErrUncounted):
		return nil, refusal.NoNomad(err)
	case err != nil:
		return nil, refusal.NoConsul(err)
	case reached == nil:
		l.reserved = append(l.reserved, r.Holder)
	}
	return reached, nil
}

// earlier returns the earlier of two times; zero is no time.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// releaseReserved gives back, in the background, the places of what whoever counts next can
// read by now, or what will not be.
func (l *launch) releaseReserved() {
	for _, holder := range l.reserved {
		l.Background.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), deadline.Cleanup)
			defer cancel()
			if err := l.Quota.Release(ctx, holder); err != nil {
				l.log().WithError(err).Warn("could not give back a reserved place under a limit of sessions; it is dropped after a while")
			}
		})
	}
	l.reserved = nil
}

// keepReserved leaves the places reserved for a while: what the launch began may yet be made.
func (l *launch) keepReserved() { l.reserved = nil }

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
