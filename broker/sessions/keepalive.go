package sessions

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// Keepalive records that a session's user is still there, by Redis's clock. A session
// that is not assigned is refused with refusal.NotAssigned.
//
// While Redis does not answer, a keepalive of an assigned session is accepted and kept in
// memory; KeepMissed records it once Redis is back.
func (s *Sessions) Keepalive(ctx context.Context, id string) (staging.Session, error) {
	redis, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	found, err := s.Store.Keepalive(redis, id)
	var moved *staging.StateError
	if errors.As(err, &moved) && moved.State == staging.Claimed && s.markAssigned(redis, id) {
		found, err = s.Store.Keepalive(redis, id)
	}
	if errors.Is(err, staging.ErrNoSession) || moved != nil && moved.State.Unassigned() {
		// Redis was wiped, or restored. Its period starts again when the scaler restores it.
		if r, failed := s.records.of(ctx, id); failed == nil && r.located && r.session.State == staging.Assigned {
			return r.session, nil
		}
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
	r, failed := s.records.of(ctx, id)
	if failed == nil && r.located && r.session.State == staging.Assigned && s.missed.add(id) {
		return r.session, nil
	}
	return found, refusal.NoRedis(err)
}

// ReceiveKeepalives records in Redis, until ctx is done, that this broker can receive
// keepalives. A session ends for the lack of a keepalive only if brokers could receive them
// during the whole of its period: not while all brokers, or Redis, were away.
func (s *Sessions) ReceiveKeepalives(ctx context.Context) { s.receive(ctx, s.Store.NoteReceiving) }

// ReceiveUses records the same of this gateway: where an installation has gateways, no session ends
// as unused that its user could not reach, because all of them were away.
func (s *Sessions) ReceiveUses(ctx context.Context) { s.receive(ctx, s.Store.NoteGateway) }

func (s *Sessions) receive(ctx context.Context, note func(context.Context) (time.Time, error)) {
	tick := time.NewTicker(staging.KeepaliveGap / 5)
	defer tick.Stop()
	for {
		call, cancel := context.WithTimeout(ctx, deadline.Redis)
		if _, err := note(call); err != nil && ctx.Err() == nil {
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

const (
	// maxMissed bounds how many sessions' keepalives wait for Redis.
	maxMissed = 10_000
	// missedPause is the time between two tries to record them.
	missedPause = time.Second
)

// missedKeepalives are the sessions whose keepalives Redis has missed.
type missedKeepalives struct {
	mu       sync.Mutex
	sessions map[string]bool
}

// add reports whether there is room for the session.
func (m *missedKeepalives) add(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sessions == nil {
		m.sessions = map[string]bool{}
	}
	if !m.sessions[id] && len(m.sessions) >= maxMissed {
		return false
	}
	m.sessions[id] = true
	return true
}

func (m *missedKeepalives) all() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.sessions))
}

func (m *missedKeepalives) remove(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.sessions, id)
}

// KeepMissed records the keepalives that came while Redis did not answer, once it does,
// until ctx is done.
func (s *Sessions) KeepMissed(ctx context.Context) {
	tick := time.NewTicker(missedPause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, id := range s.missed.all() {
			if !s.recordMissed(ctx, id) {
				break
			}
			s.missed.remove(id)
		}
	}
}

// recordMissed records a keepalive, and reports whether Redis answered.
func (s *Sessions) recordMissed(ctx context.Context, id string) bool {
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	_, err := s.Store.Keepalive(ctx, id)
	var moved *staging.StateError
	return err == nil || errors.Is(err, staging.ErrNoSession) || errors.As(err, &moved)
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
