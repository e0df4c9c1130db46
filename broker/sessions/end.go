package sessions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// EndedByRequest is the reason of a session that a caller ended.
const EndedByRequest = "ended by request"

// End ends a session: a user's is stopped, an unused one is retired and will be
// replaced. To end a session that is ending already is no error.
func (s *Sessions) End(ctx context.Context, id string) error {
	found, err := s.Session(ctx, id)
	if err != nil {
		return err
	}
	switch {
	case found.State == staging.Ended:
		return nil
	case found.State == staging.Ending && s.preStop(found):
		return nil // the scaler stops it
	case found.State.Over():
		// Stop it again: the caller that began its end may have failed at this step.
	case found.Origin == staging.Staged && found.State.Unassigned():
		if err := s.retire(ctx, found); err != nil {
			return err
		}
	default:
		if found.State == staging.Claimed {
			return busy(found.ID)
		}
		if err := s.beginEnd(ctx, found); err != nil {
			return err
		}
	}
	if found.State == staging.Assigned && s.preStop(found) {
		s.ended(ctx, found)
		return nil
	}
	stop, cancel := context.WithTimeout(ctx, deadline.Nomad)
	defer cancel()
	if err := s.Fleet.Stop(stop, found); err != nil {
		return refusal.NoNomad(err)
	}
	s.ended(ctx, found)
	return nil
}

// ended logs and records that a session was ended.
func (s *Sessions) ended(ctx context.Context, found staging.Session) {
	s.log.WithFields(logrus.Fields{logfield.Session: found.ID, logfield.Zone: found.Zone, logfield.Image: found.Image}).Info("session ended by request")
	s.auditEnd(ctx, found)
}

// preStop reports whether a session has a pre_stop hook: then a scaler stops it, once that has run.
func (s *Sessions) preStop(found staging.Session) bool {
	return staging.HooksOf(found, s.Registry.Resources().Images[found.Image]).PreStop != nil
}

// auditEnd records that a session was ended.
func (s *Sessions) auditEnd(ctx context.Context, found staging.Session) {
	if who := access.CallOf(ctx).Caller; who.Role == access.Admin && who.Accessor != access.AccessorAnybody {
		s.auditor.Changed(ctx, "session", found.ID, audited(found), nil, nil)
		return
	}
	s.auditor.Trace(ctx, "session", found.ID, nil)
}

// audited is what the audit record shows of a session that an administrator ended.
func audited(s staging.Session) map[string]any {
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
func (s *Sessions) beginEnd(ctx context.Context, found staging.Session) error {
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	if err := s.Store.Finish(ctx, found.ID, found.Claim, EndedByRequest); err != nil {
		return refusedMove(found, err)
	}
	return nil
}

// retire takes an unused session out of its pool: in Redis first, which keeps
// launches from it, then by its fate record, which decides.
func (s *Sessions) retire(ctx context.Context, found staging.Session) error {
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis+deadline.Consul)
	defer cancel()
	if err := s.Store.Retire(ctx, found, EndedByRequest); err != nil {
		return refusedMove(found, err)
	}
	won, fate, err := s.Registry.CreateFate(ctx, staging.Fate{
		Session: found.ID, Verdict: staging.VerdictRetired, Reason: EndedByRequest, DecidedAt: time.Now().UTC(),
	})
	if err != nil {
		return refusal.NoConsul(err)
	}
	if !won && fate.Verdict != staging.VerdictRetired {
		return busy(found.ID)
	}
	return nil
}

// refusedMove returns the answer to a move that Redis refused: nil where the session is
// over by now, busy where it moved to another state after it was read.
func refusedMove(s staging.Session, err error) error {
	var moved *staging.StateError
	if errors.As(err, &moved) {
		if moved.State.Over() {
			return nil
		}
		return busy(s.ID)
	}
	return refusal.NoRedis(err)
}
