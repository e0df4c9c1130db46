package scaler

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// Limits of sessions: before a session is staged, a place for it is reserved under the
// max_sessions of its config, image and zone, with all brokers and scalers. A pool that gets
// none is like one whose zone is full: it tries again with one session at a time, and what is
// due for replacement goes first, as many as max_unavailable allows.

// limitPause is the time between two tries of a pool that a limit keeps from growing.
const limitPause = 2 * time.Second

// Quota keeps the limits of sessions.
type Quota interface {
	// Reserve reserves a place for a session that is about to be made, or returns the limit
	// that it would exceed. After an error a place may be held for a while.
	Reserve(ctx context.Context, r staging.Reservation, limits []staging.SessionLimit) (*staging.LimitReached, error)
	// Release gives back the places of a holder.
	Release(ctx context.Context, holder string) error
}

// noQuota keeps no limits.
type noQuota struct{}

func (noQuota) Reserve(context.Context, staging.Reservation, []staging.SessionLimit) (*staging.LimitReached, error) {
	return nil, nil
}
func (noQuota) Release(context.Context, string) error { return nil }

// limited is the limit that keeps a pool from growing, and until when it is not tried again;
// zero for none.
type limited struct {
	reached *staging.LimitReached
	until   time.Time
}

// useOf is a staged session as limits count it.
func useOf(x staging.Session) staging.SessionUse {
	return staging.SessionUse{Session: x.ID, Image: x.Image, Zone: x.Zone, Staging: x.Staging}
}

// reserve reserves the place of a session that Stage makes, within ctx's new deadline. A
// result other than nil ends the step. release gives the place back.
func (s *Scaler) reserve(ctx context.Context, t task) (within context.Context, release func(), ended *result) {
	if len(t.limits) == 0 {
		return ctx, func() {}, nil
	}
	began := time.Now()
	x := t.session
	reached, err := s.Quota.Reserve(ctx, staging.Reservation{Holder: x.ID, SessionUse: useOf(x), Count: 1}, t.limits)
	switch {
	case errors.Is(err, staging.ErrUncounted):
		return ctx, nil, &result{gone: true, err: err, failure: &staging.Failure{
			Type: staging.NomadUnavailable, Message: "Nomad did not say how many sessions exist, and a max_sessions bounds them: " + causeOf(err).Error(),
		}}
	case err != nil:
		return ctx, nil, &result{gone: true, err: err, failure: &staging.Failure{
			Type: staging.ConsulUnavailable, Message: "Consul did not reserve a place under a max_sessions: " + causeOf(err).Error(),
		}}
	case reached != nil:
		return ctx, nil, &result{gone: true, reached: reached}
	}
	within, cancel := context.WithDeadline(ctx, began.Add(staging.ReservationUse))
	return within, func() {
		cancel()
		if err := s.Quota.Release(ctx, x.ID); err != nil {
			s.Log.WithError(err).WithField(logfield.Session, x.ID).
				Warn("could not give back a reserved place under a limit of sessions; it is dropped after a while")
		}
	}, nil
}

// staged notes whether a limit kept a session from being staged.
func (p *pool) staged(r result, now time.Time) {
	switch {
	case r.reached != nil:
		p.limited = limited{reached: r.reached, until: now.Add(limitPause)}
	case r.err == nil:
		p.limited = limited{}
	}
}

// takenOf counts the sessions of a pool that are no longer unassigned and still exist.
func (v *view) takenOf(p *pool) int {
	if p.config.MaxSessions == 0 {
		return 0
	}
	n := 0
	for _, e := range v.sessions {
		if e.s.Staging == p.config.Name && e.pool == nil && e.hasJob && !e.over() {
			n++
		}
	}
	return n
}

// withinRoom bounds what is wanted by the pool's own max_sessions: what its users have is not
// wanted unassigned as well.
func (d *decision) withinRoom() {
	if room := d.room(); d.Desired > room {
		d.limit(&staging.LimitReached{SessionLimit: d.Config.SessionLimit(), InUse: d.Taken + len(d.Members)})
	}
	d.Desired, d.Keep = min(d.Desired, d.room()), min(d.Keep, d.room())
}

// room is how many unassigned sessions the pool's own max_sessions leaves.
func (d *decision) room() int {
	if d.Config.MaxSessions == 0 {
		return math.MaxInt
	}
	return max(0, d.Config.MaxSessions-d.Taken)
}

// atLimit: a limit leaves no room for a replacement beside what it replaces.
func (d *decision) atLimit() bool {
	return d.Limit != nil || len(d.live) >= d.room()
}

// limit adds the condition that a limit keeps the pool from growing.
func (d *decision) limit(r *staging.LimitReached) {
	for _, c := range d.plan.Conditions {
		if c.Type == staging.SessionLimitReached {
			return
		}
	}
	d.plan.Conditions = append(d.plan.Conditions, staging.Condition{Type: staging.SessionLimitReached, Message: fmt.Sprintf(
		"%s allows %d at once, staged and assigned together, and %d are in use: no more are staged; raise it, or lower desired_sessions",
		r, r.Max, r.InUse,
	)})
}
