package sessions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// Keepalive records that a session's user is still there, by Redis's clock. A session
// that is not assigned is refused with refusal.NotAssigned.
func (s *Sessions) Keepalive(ctx context.Context, id string) (staging.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	found, err := s.Store.Keepalive(ctx, id)
	var moved *staging.StateError
	if errors.As(err, &moved) && moved.State == staging.Claimed && s.markAssigned(ctx, id) {
		found, err = s.Store.Keepalive(ctx, id)
	}
	switch {
	case err == nil:
		return found, nil
	case errors.Is(err, staging.ErrNoSession):
		return found, notFound(id, err)
	case errors.As(err, &moved):
		return found, &refusal.Error{
			Kind: refusal.NotAssigned, Cause: err,
			Detail: fmt.Sprintf("session %s is %s, and only an assigned one is kept alive; launch anew", id, moved.State),
		}
	}
	return found, refusal.NoRedis(err)
}

// ReceiveKeepalives records in Redis, until ctx is done, that this broker can receive
// keepalives. A session ends for the lack of a keepalive only if brokers could receive them
// during the whole of its period: not while all brokers, or Redis, were away.
func (s *Sessions) ReceiveKeepalives(ctx context.Context) {
	tick := time.NewTicker(staging.KeepaliveGap / 5)
	defer tick.Stop()
	for {
		note, cancel := context.WithTimeout(ctx, deadline.Redis)
		if _, err := s.Store.NoteReceiving(note); err != nil && ctx.Err() == nil {
			s.log.WithError(err).Debug("cannot note in Redis that keepalives are received; no session ends for the lack of one meanwhile")
		}
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// markAssigned marks a claimed session as assigned in Redis if its fate record is
// finished: the launch may have been answered a moment ago, before Redis had it.
func (s *Sessions) markAssigned(ctx context.Context, id string) bool {
	found, err := s.Session(ctx, id)
	if err != nil || found.State != staging.Assigned {
		return false
	}
	found.AssignedAt = time.Time{} // Redis sets its own time, which is about now
	_, err = s.Store.Assign(ctx, found)
	return err == nil
}
