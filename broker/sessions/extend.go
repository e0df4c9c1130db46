package sessions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

const (
	// extendTries is how often an extension is tried against others of the same session.
	extendTries = 5
	// lateExtension is how near a session's end may be for an extension of which Redis cannot be
	// told: the scaler reads the fate record before it ends a session, and a moment may lie between.
	lateExtension = 10 * time.Second
)

// Extend gives a user's session more time than its time limit, within its terms, and returns it with
// its new end. It is stored in the fate record, by compare-and-set, and then in Redis, which decides
// between an extension and an end at the same moment. While Redis does not answer, the record alone is
// enough: a scaler reads it before it ends the session. To ask is a use of the session.
//
// Errors are a *staging.InvalidError or a *refusal.Error: NotFound, NotAssigned, ExtensionLimit,
// KeyReused, SessionBusy, or that Consul, or Redis shortly before the end, does not answer.
func (s *Sessions) Extend(ctx context.Context, id string, r staging.ExtendBy) (staging.Session, error) {
	if err := r.Validate(); err != nil {
		return staging.Session{}, err
	}
	found, err := s.extend(ctx, id, r)
	s.Meter.Extended(err == nil)
	return found, err
}

func (s *Sessions) extend(ctx context.Context, id string, r staging.ExtendBy) (staging.Session, error) {
	found, err := s.Session(ctx, id)
	switch {
	case err != nil:
		return found, err
	case found.State == staging.Claimed:
		return found, busy(id)
	case found.State != staging.Assigned:
		return found, &refusal.Error{
			Kind: refusal.NotAssigned, Detail: fmt.Sprintf("session %s is %s, and only an assigned one is extended; launch anew", id, found.State),
		}
	case found.Terms.TimeLimit == 0:
		return found, extensionLimit("session %s has no time limit that could be extended", id)
	case found.Terms.MaxExtension == 0:
		return found, extensionLimit("session %s ends at %s and cannot be extended: no group of its user set a max_extension when it was launched",
			id, found.EndsAt().UTC().Format(time.RFC3339))
	}
	before := found.EndsAt()
	if found, err = s.extendFate(ctx, found, r); err != nil {
		return found, err
	}
	s.records.forget(id)
	return s.extendInRedis(ctx, found, before)
}

// extendFate stores a later end in the session's fate record, and returns the session with it.
func (s *Sessions) extendFate(ctx context.Context, found staging.Session, r staging.ExtendBy) (staging.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*deadline.Consul)
	defer cancel()
	for range extendTries {
		fate, err := s.Registry.Fate(ctx, found.ID)
		switch {
		case errors.Is(err, staging.ErrNoResource):
			return found, busy(found.ID) // Consul has lost it, and a scaler writes it again
		case err != nil:
			return found, refusal.NoConsul(err)
		case fate.Verdict != staging.VerdictAssigned || fate.Claim != found.Claim || fate.HookPending || fate.Reason != "":
			return found, busy(found.ID)
		}
		found.Terms = fate.Terms
		later, outcome := fate.Extend(found.EndsAt(), r)
		switch outcome {
		case staging.ExtendedBefore:
			return found, nil
		case staging.ExtensionKeyReused:
			return found, &refusal.Error{
				Kind: refusal.KeyReused, Detail: "this Idempotency-Key was used for another extension of the session; use a fresh key for another one",
			}
		case staging.BeyondMaxExtension:
			return found, extensionLimit("session %s ends at %s, and its max_extension of %s leaves %s; ask for no more",
				found.ID, found.EndsAt().UTC().Format(time.RFC3339), fate.Terms.MaxExtension.Brief(), max(0, fate.Terms.MaxExtension-fate.Terms.Extended).Brief())
		}
		if !time.Now().Before(found.EndsAt()) {
			return found, &refusal.Error{Kind: refusal.NotAssigned, Detail: fmt.Sprintf("the time of session %s is over; launch anew", found.ID)}
		}
		if err = s.Registry.ExtendFate(ctx, later); err == nil {
			found.Terms = later.Terms
			s.log.WithFields(logrus.Fields{logfield.Session: found.ID, logfield.Zone: found.Zone, logfield.Reason: "it ends at " + found.EndsAt().UTC().Format(time.RFC3339)}).Info("session extended")
			return found, nil
		}
		if now, failed := s.Registry.Fate(ctx, found.ID); failed != nil || now.Index == fate.Index {
			return found, refusal.NoConsul(err) // no other writer: whether it was stored is not known
		}
	}
	return found, busy(found.ID)
}

// extendInRedis has Redis take over a later end. before is the end that it may know.
func (s *Sessions) extendInRedis(ctx context.Context, found staging.Session, before time.Time) (staging.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	stored, err := s.Store.Extend(ctx, found, fmt.Sprintf("it ends at %s", found.EndsAt().UTC().Format(time.RFC3339)))
	var moved *staging.StateError
	switch {
	case err == nil:
		return stored, nil
	case errors.As(err, &moved) && moved.State.Over():
		return found, &refusal.Error{
			Kind: refusal.NotAssigned, Cause: err, Detail: fmt.Sprintf("session %s is %s: the extension came too late; launch anew", found.ID, moved.State),
		}
	case time.Until(before) < lateExtension:
		return found, refusal.NoRedis(err)
	}
	s.log.WithError(err).WithField(logfield.Session, found.ID).Warn("Redis could not be told of an extension; the fate record has it, and the session does not end before")
	return found, nil
}

func extensionLimit(format string, args ...any) *refusal.Error {
	return &refusal.Error{Kind: refusal.ExtensionLimit, Detail: fmt.Sprintf(format, args...)}
}
