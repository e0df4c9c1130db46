package admin

import (
	"context"
	"sync"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
)

// maxPendingUses bounds the tokens whose use waits to be recorded. Past it a use is not
// recorded; the token's next is.
const maxPendingUses = 4096

// tokenUses records the uses of tokens in Consul, one after the other, and never makes a call
// wait. It may be used concurrently.
type tokenUses struct {
	store      TokenStore
	background Background

	mu sync.Mutex
	// pending has the newest use of each token that is not recorded yet.
	pending map[string]time.Time
	// working: a task records what is pending.
	working bool
}

func newTokenUses(store TokenStore, background Background) *tokenUses {
	return &tokenUses{store: store, background: background, pending: map[string]time.Time{}}
}

// note has a token's use recorded.
func (u *tokenUses) note(accessor string, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, waits := u.pending[accessor]; !waits && len(u.pending) >= maxPendingUses {
		return
	}
	u.pending[accessor] = at
	if !u.working {
		// Where the background is full, the next use starts the work.
		u.working = u.background.TryGo(u.work)
	}
}

// work records what is pending. Where Consul does not answer it ends, and the next use of any
// token starts it again.
func (u *tokenUses) work() {
	for {
		accessor, at, ok := u.next()
		if !ok {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), deadline.Consul)
		err := u.store.NoteTokenUse(ctx, accessor, at)
		cancel()
		if err != nil {
			u.failed(accessor, at)
			return
		}
	}
}

// next takes a use out of what is pending; ok is false, and the work over, where there is none.
func (u *tokenUses) next() (accessor string, at time.Time, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for accessor, at = range u.pending {
		delete(u.pending, accessor)
		return accessor, at, true
	}
	u.working = false
	return "", time.Time{}, false
}

// failed puts a use back, unless a newer one waits, and ends the work.
func (u *tokenUses) failed(accessor string, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if at.After(u.pending[accessor]) {
		u.pending[accessor] = at
	}
	u.working = false
}
