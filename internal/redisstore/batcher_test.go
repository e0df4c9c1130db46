package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// gate is a hook that holds up what goes to Redis until it is opened, and counts it.
type gate struct {
	open  chan struct{}
	mu    sync.Mutex
	trips int
}

func (g *gate) pass() {
	g.mu.Lock()
	g.trips++
	g.mu.Unlock()
	<-g.open
}

func (g *gate) passed() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.trips
}

func (g *gate) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (g *gate) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		g.pass()
		return next(ctx, cmd)
	}
}

func (g *gate) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		g.pass()
		return next(ctx, cmds)
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

func (b *batcher) queue() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting)
}

// TestClaimsThatComeTogetherShareATrip: each is given a session of its own, also where
// Redis has forgotten the scripts; and who was given up while it waited takes none.
func TestClaimsThatComeTogetherShareATrip(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	const launches = 150
	for i := range launches + 1 {
		must(t, s.Publish(ctx, session(fmt.Sprintf("s%03d", i), time.Minute)))
	}
	must(t, s.rdb.ScriptFlush(ctx).Err())
	g := &gate{open: make(chan struct{})}
	s.rdb.AddHook(g)

	var wg sync.WaitGroup
	given := make([]string, launches)
	for i := range launches {
		wg.Go(func() {
			r, err := claimOne(ctx, s, "demo-east", claim(fmt.Sprint("c", i)))
			if err != nil || r.Outcome != staging.ClaimTaken {
				t.Errorf("launch %d: %s %v", i, r.Outcome, err)
			}
			given[i] = r.Session.ID
		})
	}
	eventually(t, "all wait but those under way", func() bool { return s.batcher.queue() == launches-maxPipelines && g.passed() == maxPipelines })
	late, giveUp := context.WithCancel(ctx)
	wg.Go(func() {
		if _, err := claimOne(late, s, "demo-east", claim("late")); !errors.Is(err, context.Canceled) {
			t.Errorf("a launch that was given up while it waited: %v", err)
		}
	})
	eventually(t, "one more waits", func() bool { return s.batcher.queue() == launches-maxPipelines+1 })
	giveUp()
	eventually(t, "it waits no more", func() bool { return s.batcher.queue() == launches-maxPipelines })
	close(g.open)
	wg.Wait()

	whose := map[string]bool{}
	for _, id := range given {
		whose[id] = true
	}
	if len(whose) != launches {
		t.Errorf("%d sessions for %d launches", len(whose), launches)
	}
	left, err := s.rdb.ZCard(ctx, s.readyKey("demo-east")).Result()
	must(t, err)
	if left != 1 {
		t.Errorf("%d sessions are left of %d: the launch that was given up took one", left, launches+1)
	}
	if s.batcher.inFlight != 0 || s.batcher.queue() != 0 {
		t.Errorf("%d under way, %d wait, after all", s.batcher.inFlight, s.batcher.queue())
	}
}

// TestATripThatFailsFailsForAllOnIt, and for nobody else.
func TestATripThatFailsFailsForAllOnIt(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	away := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1})
	t.Cleanup(func() { away.Close() })
	g := &gate{open: make(chan struct{})}
	away.AddHook(g)
	lost := New(away, s.o)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			if _, err := claimOne(ctx, lost, "demo-east", claim(fmt.Sprint("c", i))); err == nil {
				t.Error("a claim without a Redis succeeded")
			}
		})
	}
	eventually(t, "all wait but those under way", func() bool { return lost.batcher.queue() == 40-maxPipelines })
	close(g.open)
	wg.Wait()
	if lost.batcher.inFlight != 0 || lost.batcher.queue() != 0 {
		t.Errorf("%d under way, %d wait, after all", lost.batcher.inFlight, lost.batcher.queue())
	}
}

// TestADamagedRecordFailsOneLaunchAlone, also where several launches are one call.
func TestADamagedRecordFailsOneLaunchAlone(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	const launches = 20
	for i := range launches {
		must(t, s.Publish(ctx, session(fmt.Sprintf("s%02d", i), time.Hour-time.Duration(i)*time.Minute)))
	}
	// The launches that are one call come after those that go at once.
	damaged := fmt.Sprintf("s%02d", launches/2)
	must(t, s.rdb.Set(ctx, s.sessionKey(damaged), "no hash", 0).Err())
	g := &gate{open: make(chan struct{})}
	s.rdb.AddHook(g)

	var wg sync.WaitGroup
	var mu sync.Mutex
	failed, given := 0, map[string]bool{}
	for i := range launches {
		wg.Go(func() {
			r, err := claimOne(ctx, s, "demo-east", claim(fmt.Sprint("c", i)))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed++
				return
			}
			given[r.Session.ID] = true
		})
	}
	eventually(t, "all wait but those under way", func() bool { return s.batcher.queue() == launches-maxPipelines && g.passed() == maxPipelines })
	close(g.open)
	wg.Wait()
	if failed != 1 || len(given) != launches-1 || given[damaged] {
		t.Errorf("of %d launches %d failed, and %d sessions were given; one of the sessions was damaged: %v", launches, failed, len(given), given)
	}
}

// TestAServerThatTakesNoWritesSaysSo, so that the client leaves its connection: it was a primary.
func TestAServerThatTakesNoWritesSaysSo(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	for _, id := range []string{"s1", "s2"} {
		must(t, s.Publish(ctx, session(id, time.Minute)))
	}
	r, err := claimOne(ctx, s, "demo-east", claim("c1"))
	must(t, err)
	must(t, s.rdb.Do(ctx, "REPLICAOF", "127.0.0.1", "1").Err())
	t.Cleanup(func() { must(t, s.rdb.Do(context.Background(), "REPLICAOF", "NO", "ONE").Err()) })
	_, claimErr := claimOne(ctx, s, "demo-east", claim("c2"))
	_, assignErr := s.Assign(ctx, r.Session)
	for what, err := range map[string]error{"claim": claimErr, "assign": assignErr} {
		var answered redis.Error
		if !errors.As(err, &answered) || !redis.IsReadOnlyError(answered) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
