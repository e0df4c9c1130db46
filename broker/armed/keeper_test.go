package armed_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/armed"
	"github.com/greenroom/greenroom/internal/staging"
)

// world is Redis, Consul and the open shells in memory: two pools of ready sessions, one
// for an image with an assign hook.
type world struct {
	mu sync.Mutex
	// ready are the sessions of the pool with a hook, oldest first.
	ready []string
	// broken are sessions in which no shell opens; tried counts the attempts.
	broken map[string]bool
	tried  map[string]int
	open   map[string]bool
	pools  []string
	// away: Redis does not answer. listed are the heads of the pool's listing, nil while no
	// launch uses it.
	away   bool
	listed []string
}

// heads are those of the listing.
func (w *world) heads(_ context.Context, most map[string]int) map[string][]staging.Session {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listed == nil {
		return nil
	}
	all := []staging.Session{}
	for _, id := range w.listed[:min(most["h"], len(w.listed))] {
		all = append(all, staging.Session{ID: id, Staging: "h", Task: "main"})
	}
	return map[string][]staging.Session{"h": all}
}

func (w *world) Resources() staging.Resources {
	return staging.Resources{
		Images: map[string]staging.Image{
			"hooked": {Name: "hooked", ExecConfig: staging.ExecConfig{Assign: &staging.Hook{Cmd: []string{"x"}}}},
			"plain":  {Name: "plain"},
		},
		Configs: map[string]staging.Config{"h": {Name: "h", Image: "hooked"}, "p": {Name: "p", Image: "plain"}},
	}
}

// Arm leases the head of the queue.
func (w *world) Arm(_ context.Context, _ string, most map[string]int, _ time.Duration) (map[string][]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away {
		return nil, errors.New("redis does not answer")
	}
	w.pools = slices.Sorted(maps.Keys(most))
	return map[string][]string{"h": slices.Clone(w.ready[:min(most["h"], len(w.ready))])}, nil
}

func (w *world) Counts(context.Context, ...string) (current, ready map[string]int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return nil, map[string]int{"h": len(w.ready)}, nil
}

func (w *world) Session(_ context.Context, id string) (staging.Session, error) {
	return staging.Session{ID: id, State: staging.Ready, Staging: "h", Task: "main"}, nil
}

// shells are the world's shells.
type shells struct{ *world }

func (s shells) Arm(_ context.Context, x staging.Session, _ string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried[x.ID]++
	if s.broken[x.ID] {
		return errors.New("no shell")
	}
	s.open[x.ID] = true
	return nil
}

func (s shells) Armed(string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.open))
}

func (s shells) Keep(_ context.Context, sessions map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.open, func(id string, _ bool) bool { return !sessions[id] })
}

func (w *world) opened() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.open))
}

// until waits for the open shells to be in these sessions.
func until(t *testing.T, w *world, want ...string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !slices.Equal(w.opened(), want) {
		if time.Now().After(deadline) {
			t.Fatalf("shells are open in %v, want %v", w.opened(), want)
		}
		time.Sleep(time.Millisecond)
	}
}

// start runs a keeper until the test ends.
func start(t *testing.T, w *world) *world {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	k := armed.New(armed.Servers{Store: w, Registry: w, Shells: shells{w}}, w.heads, armed.Bounds{All: 24, PerPool: 3}, logrus.NewEntry(log))
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { k.Run(ctx, "me") })
	t.Cleanup(wg.Wait)
	t.Cleanup(stop)
	return w
}

// TestShellsFollowTheHeadsOfTheListingWithoutRedis: those of the queue's head close once the
// pool is served from its listing, and come back with Redis.
func TestShellsFollowTheHeadsOfTheListingWithoutRedis(t *testing.T) {
	w := start(t, &world{ready: []string{"a", "b"}, tried: map[string]int{}, open: map[string]bool{}})
	until(t, w, "a", "b")
	set := func(away bool, listed ...string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.away, w.listed = away, listed
	}
	set(true)
	until(t, w, "a", "b") // the leases are not over
	set(true, "x", "b", "y", "z")
	until(t, w, "b", "x", "y")
	set(false, "y", "z") // Redis answers, and is not trusted
	until(t, w, "y", "z")
	set(false)
	until(t, w, "a", "b")
}

// TestShellsFollowTheHeadOfTheQueue: they are open in the sessions that are claimed next,
// within the bound, and in no others; one that cannot be opened does not keep the rest out,
// and is not tried again at once.
func TestShellsFollowTheHeadOfTheQueue(t *testing.T) {
	w := start(t, &world{
		ready: []string{"a", "b", "c", "d"}, broken: map[string]bool{"b": true}, tried: map[string]int{}, open: map[string]bool{},
	})
	until(t, w, "a", "c")
	w.mu.Lock()
	w.ready = []string{"c", "d", "e"}
	w.mu.Unlock()
	until(t, w, "c", "d", "e")
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tried["b"] != 1 || w.tried["a"] != 1 || w.tried["c"] != 1 {
		t.Errorf("opened so many times: %v", w.tried)
	}
	if !slices.Equal(w.pools, []string{"h"}) {
		t.Errorf("sessions of %v were leased, want only those of images with an assign hook", w.pools)
	}
}
