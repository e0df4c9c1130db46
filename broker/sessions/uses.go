package sessions

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

const (
	// maxUses bounds the sessions whose last use is remembered.
	maxUses = 50_000
	// usesAtOnce bounds the calls to Redis for uses.
	usesAtOnce = 8
)

// uses are the sessions that were used. It may be used concurrently.
type uses struct {
	mu sync.Mutex
	// told is when Redis was last told of a session's use.
	told map[string]time.Time
	// due are the sessions of whose use it has to be told.
	due map[string]bool
	// some receives when there are sessions in due.
	some chan struct{}
}

func newUses() *uses {
	return &uses{told: map[string]time.Time{}, due: map[string]bool{}, some: make(chan struct{}, 1)}
}

// Used notes that a session is in use: a request for it was let through. It returns at once.
// RecordUses tells Redis, at most once an interval for a session.
func (s *Sessions) Used(id string) {
	if s.uses.add(id, time.Now()) {
		select {
		case s.uses.some <- struct{}{}:
		default:
		}
	}
}

// add reports whether Redis is to be told of a use. Where too many are remembered it forgets
// those of which Redis may be told again.
func (u *uses) add(id string, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if at, known := u.told[id]; known && now.Sub(at) < staging.UseInterval {
		return false
	}
	if len(u.told) >= maxUses {
		for other, at := range u.told {
			if now.Sub(at) >= staging.UseInterval {
				delete(u.told, other)
			}
		}
		if len(u.told) >= maxUses {
			return false
		}
	}
	u.told[id], u.due[id] = now, true
	return true
}

// take returns the sessions of whose use Redis has to be told.
func (u *uses) take() map[string]bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	due := u.due
	u.due = map[string]bool{}
	return due
}

// RecordUses records the uses of sessions as keepalives, until ctx is done.
func (s *Sessions) RecordUses(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.uses.some:
		}
		var group errgroup.Group
		group.SetLimit(usesAtOnce)
		for id := range s.uses.take() {
			group.Go(func() error {
				if _, err := s.Keepalive(ctx, id); err != nil && ctx.Err() == nil {
					s.log.WithError(err).WithField(logfield.Session, id).Debug("cannot record that a session is in use; its next use is recorded")
				}
				return nil
			})
		}
		_ = group.Wait() // none returns an error
	}
}
