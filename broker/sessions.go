package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// Session reads one session, also one that ended not long ago. One whose launch has
// been answered is assigned, whatever Redis has heard.
func (b *Broker) Session(ctx context.Context, id string) (staging.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	s, err := b.Store.Session(ctx, id)
	if errors.Is(err, staging.ErrNoSession) {
		return s, noSession(id, err)
	}
	if err != nil {
		return s, refusal.NoRedis(err)
	}
	return b.settled(ctx, s), nil
}

// settled gives a session that Redis calls claimed as it is: assigned, where its fate
// record says that its launch has finished, which Redis hears of behind the answer.
func (b *Broker) settled(ctx context.Context, s staging.Session) staging.Session {
	if s.State != staging.Claimed {
		return s
	}
	f, err := b.Registry.Fate(ctx, s.ID)
	if err == nil && f.Verdict == staging.VerdictAssigned && f.Claim == s.Claim && !f.HookPending {
		s.State, s.AssignedAt = staging.Assigned, f.DecidedAt
	}
	return s
}

func noSession(id string, err error) *refusal.Error {
	return &refusal.Error{Kind: refusal.NotFound, Detail: fmt.Sprintf("there is no session %q, or it ended a while ago", id), Cause: err}
}

// Sessions reads up to limit sessions of the kind wanted that have not ended, from
// after a position on, the oldest first. What it reads for one page is bounded: a page
// may be short, and the list go on all the same.
func (b *Broker) Sessions(ctx context.Context, f staging.SessionFilter, after staging.Position, limit int) (staging.SessionPage, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	page, err := b.Store.Page(ctx, f, after, limit)
	if err != nil {
		return page, refusal.NoRedis(err)
	}
	return page, nil
}

// EndedByRequest is the reason of a session that a caller ended.
const EndedByRequest = "ended by request"

// End ends a session: a user's is stopped, an unused one is retired and will be
// replaced. Ending one that is on its way out is no error.
func (b *Broker) End(ctx context.Context, id string) error {
	s, err := b.Session(ctx, id)
	if err != nil {
		return err
	}
	log := b.Log.WithFields(logrus.Fields{logfield.Session: s.ID, logfield.Zone: s.Zone, logfield.Image: s.Image})
	switch {
	case s.State == staging.Ended:
		return nil
	case s.State.Over():
		// Stop it again: whoever began its end may have failed at this step.
	case s.Origin == staging.Staged && s.State.Unassigned():
		if err := b.retire(ctx, s); err != nil {
			return err
		}
	default:
		if s.State == staging.Claimed {
			return busy(s.ID)
		}
		if err := b.beginEnd(ctx, s); err != nil {
			return err
		}
	}
	stop, cancel := context.WithTimeout(ctx, nomadTimeout)
	defer cancel()
	if err := b.Fleet.Stop(stop, s); err != nil {
		return refusal.NoNomad(err)
	}
	log.Info("session ended by request")
	if who := access.CallOf(ctx).Caller; who.Role == access.Admin && who.Accessor != access.AccessorAnybody {
		b.changed(ctx, "session", s.ID, endedOf(s), nil, nil)
	}
	return nil
}

// endedOf is what auditors see of a session that an administrator ended.
func endedOf(s staging.Session) map[string]any {
	seen := map[string]any{"state": s.State, "zone": s.Zone, "image": s.Image}
	if s.User != nil {
		seen["user_id"] = s.User.ID
	}
	return seen
}

func busy(id string) *refusal.Error {
	return &refusal.Error{
		Kind: refusal.SessionBusy, Detail: fmt.Sprintf("session %s is being assigned this moment; try again", id),
		RetryAfter: time.Second,
	}
}

// beginEnd marks a user's session as ending.
func (b *Broker) beginEnd(ctx context.Context, s staging.Session) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := b.Store.Finish(ctx, s.ID, s.Claim, EndedByRequest); err != nil {
		return b.raced(s, err)
	}
	return nil
}

// retire takes an unused session out of its pool: in Redis first, which keeps
// launches from it, then by its fate record, which decides.
func (b *Broker) retire(ctx context.Context, s staging.Session) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout+consulTimeout)
	defer cancel()
	if err := b.Store.Retire(ctx, s, EndedByRequest); err != nil {
		return b.raced(s, err)
	}
	won, fate, err := b.Registry.CreateFate(ctx, staging.Fate{
		Session: s.ID, Verdict: staging.VerdictRetired, Reason: EndedByRequest, DecidedAt: time.Now().UTC(),
	})
	if err != nil {
		return refusal.NoConsul(err)
	}
	if !won && fate.Verdict == staging.VerdictAssigned {
		return busy(s.ID)
	}
	return nil
}

// raced turns a refused move into an answer: the session moved on under us.
func (b *Broker) raced(s staging.Session, err error) error {
	var moved *staging.StateError
	if errors.As(err, &moved) {
		if moved.State.Over() {
			return nil
		}
		return busy(s.ID)
	}
	return refusal.NoRedis(err)
}
