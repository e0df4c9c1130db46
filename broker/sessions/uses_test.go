package sessions_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/greenroom/greenroom/broker/sessions"
	"github.com/greenroom/greenroom/internal/staging"
)

// told is a store that counts keepalives.
type told struct {
	*servers
	mu    sync.Mutex
	alive map[string]int
}

// Keepalive implements sessions.Store.
func (s *told) Keepalive(_ context.Context, id string) (staging.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alive[id]++
	return s.session, nil
}

// TestUseIsAKeepaliveAtMostEveryTenSeconds for a session, however often it is used, and an access
// check that is let through is a use.
func TestUseIsAKeepaliveAtMostEveryTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &told{servers: inState(staging.Assigned), alive: map[string]int{}}
		store.session.Address, store.session.Ports = "10.0.0.7", map[string]int{"http": 1}
		s := sessions.New(sessions.Servers{Store: store, Registry: store, Fleet: store, Health: store}, nil, noAudit{}, discard())
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go s.RecordUses(ctx)
		want := func(id string, n int) {
			t.Helper()
			synctest.Wait()
			store.mu.Lock()
			defer store.mu.Unlock()
			if store.alive[id] != n {
				t.Errorf("%s: Redis was told %d times, want %d", id, store.alive[id], n)
			}
		}
		for range 100 {
			s.Used("a")
			s.Used("b")
		}
		want("a", 1)
		want("b", 1)
		time.Sleep(9 * time.Second)
		s.Used("a")
		want("a", 1)
		time.Sleep(2 * time.Second)
		s.Used("a")
		want("a", 2)
		want("b", 1)
		right := staging.AccessToken([]byte("secret"), "s", "c")
		if _, err := s.Authorize(ctx, sessions.Access{Session: "s", Tokens: []string{right}, Port: "nope"}); err == nil {
			t.Error("a port that there is not was let through")
		}
		want("s", 0)
		for _, token := range []string{"wrong", right} {
			_, _ = s.Authorize(ctx, sessions.Access{Session: "s", Tokens: []string{token}})
		}
		want("s", 1)
	})
}
