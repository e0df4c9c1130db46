package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// noteAssigned notes in Redis that a claimed session is assigned, if it is: its launch
// may have been answered a moment ago.
func (b *Broker) noteAssigned(ctx context.Context, id string) bool {
	s, err := b.Session(ctx, id)
	if err != nil || s.State != staging.Assigned {
		return false
	}
	s.AssignedAt = time.Time{} // about now
	_, err = b.Store.Assign(ctx, s)
	return err == nil
}

// Keepalive says that a session's user is still there. Its zone's clock is
// Redis's. A session that is not assigned is NotAssigned.
func (b *Broker) Keepalive(ctx context.Context, id string) (staging.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	s, err := b.Store.Keepalive(ctx, id)
	var moved *staging.StateError
	if errors.As(err, &moved) && moved.State == staging.Claimed && b.noteAssigned(ctx, id) {
		s, err = b.Store.Keepalive(ctx, id)
	}
	switch {
	case err == nil:
		return s, nil
	case errors.Is(err, staging.ErrNoSession):
		return s, noSession(id, err)
	case errors.As(err, &moved):
		return s, &refusal.Error{
			Kind: refusal.NotAssigned, Cause: err,
			Detail: fmt.Sprintf("session %s is %s, and only an assigned one is kept alive; launch anew", id, moved.State),
		}
	}
	return s, refusal.NoRedis(err)
}
