package launch

import (
	"context"
	"sync"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/internal/staging"
)

// What launches did without Redis is restored in Redis once it answers, so that a later
// request finds it there. The scaler does the same from the fate records; this is sooner.

const (
	// syncPause is the time from a failed try to the next.
	syncPause = 250 * time.Millisecond
	// maxSyncs bounds how many sessions wait. The scaler restores those that find no room.
	maxSyncs = 10_000
)

// unsynced is a session that Redis does not have as its user's, with what its launch's key
// is restored from.
type unsynced struct {
	session staging.Session
	fate    staging.Fate
}

// redisSync restores assignments in Redis, in one background task that runs while some wait.
type redisSync struct {
	mu      sync.Mutex
	waiting []unsynced
	running bool
}

// syncRedis restores the assignment of a launch's sessions in Redis: at once where Redis
// answers and only was not trusted, else in the background once it is back.
func (l *launch) syncRedis(sessions []staging.Session) {
	f := staging.Fate{IdempotencyKey: l.IdempotencyKey, Fingerprint: l.claim.Fingerprint}
	if len(sessions) > 1 {
		f.Sessions = sessionIDs(sessions)
	}
	for _, s := range sessions {
		a := unsynced{session: s, fate: f}
		// Redis answers, so a later request must find there what this launch returns.
		if l.untrusted && l.restore(context.Background(), a) == nil {
			continue
		}
		l.syncLater(a)
	}
}

func (b *Launcher) restore(ctx context.Context, a unsynced) error {
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	_, err := b.Store.Restore(ctx, a.session, a.fate)
	return err
}

// syncLater queues an assignment for the background task, and starts that unless it runs.
func (b *Launcher) syncLater(a unsynced) {
	b.sync.mu.Lock()
	defer b.sync.mu.Unlock()
	if len(b.sync.waiting) == maxSyncs {
		return
	}
	b.sync.waiting = append(b.sync.waiting, a)
	if !b.sync.running {
		b.sync.running = b.Background.TryGo(b.syncWaiting)
	}
}

// syncWaiting restores what waits, until nothing does or the broker closes.
func (b *Launcher) syncWaiting() {
	pause := time.NewTicker(syncPause)
	defer pause.Stop()
	for {
		next, ok := b.nextSync()
		if !ok {
			return
		}
		for b.restore(b.closing, next) != nil {
			select {
			case <-b.closing.Done():
				return
			case <-pause.C:
			}
		}
	}
}

// nextSync takes the oldest assignment that waits; none ends the background task.
func (b *Launcher) nextSync() (unsynced, bool) {
	b.sync.mu.Lock()
	defer b.sync.mu.Unlock()
	if len(b.sync.waiting) == 0 {
		b.sync.waiting, b.sync.running = nil, false
		return unsynced{}, false
	}
	next := b.sync.waiting[0]
	b.sync.waiting = b.sync.waiting[1:]
	return next, true
}
