package redisstore

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Launches that come at the same moment share a round trip: most of what a script costs,
// in the broker and in Redis, is to write it and to read it, and a pipeline does that
// once for all. Nobody waits for company: who comes while nothing is under way goes at
// once, and who comes meanwhile goes with all who came meanwhile.
//
// There is no goroutine for it: of those who wait, one carries the others' scripts with
// its own.

const (
	// maxFlights is how many pipelines are under way at once: one is on its way while
	// the other's answers are read.
	maxFlights = 2
	// maxTogether bounds the scripts of one pipeline.
	maxTogether = 64
	// flightTime bounds a pipeline: who carries others' scripts may have less time left than they.
	flightTime = 3 * time.Second
)

// together is what waits for its turn.
type together struct {
	mu      sync.Mutex
	flights int
	waiting []*call
}

// call is one script that is to be run.
type call struct {
	script *redis.Script
	keys   []string
	args   []any
	answer *redis.Cmd
	// turn says that the answer is there, or, false, that it is this call's turn to
	// carry what waits.
	turn chan bool
}

// run runs a script, together with those that others want to run at the moment. Whether
// a script ran whose answer is an error is not known, as ever.
func (s *Store) run(ctx context.Context, script *redis.Script, keys []string, args ...any) *redis.Cmd {
	c := &call{script: script, keys: keys, args: args}
	if !s.together.join(c) && !s.together.await(ctx, c) {
		// While it waited, its time was up.
		c.answer = redis.NewCmd(ctx)
		c.answer.SetErr(context.Cause(ctx))
		return c.answer
	}
	if c.answer == nil {
		s.carry(ctx, c)
	}
	return c.answer
}

// join reports whether the call goes at once. Else it waits.
func (t *together) join(c *call) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.flights < maxFlights {
		t.flights++
		return true
	}
	c.turn = make(chan bool, 1)
	t.waiting = append(t.waiting, c)
	return false
}

// await waits for the answer, or for the call's turn to carry. It reports false when
// ctx was done first, and the call will not be run.
func (t *together) await(ctx context.Context, c *call) bool {
	select {
	case <-c.turn:
		return true
	case <-ctx.Done():
	}
	t.mu.Lock()
	i := slices.Index(t.waiting, c)
	if i >= 0 {
		t.waiting = slices.Delete(t.waiting, i, i+1)
	}
	t.mu.Unlock()
	if i >= 0 {
		return false
	}
	// It is under way, for no longer than a flight takes, or it carries.
	<-c.turn
	return true
}

// carry runs the call and all that wait, then has the next one carry.
func (s *Store) carry(ctx context.Context, c *call) {
	batch := append([]*call{c}, s.together.take()...)
	defer s.together.land()
	defer func() {
		for _, other := range batch[1:] {
			other.turn <- true
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTime)
	defer cancel()
	s.fly(ctx, batch)
}

// take gives those that wait, as many as may go together.
func (t *together) take() []*call {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := min(len(t.waiting), maxTogether-1)
	taken := t.waiting[:n:n]
	t.waiting = t.waiting[n:]
	return taken
}

// land gives the flight to the next one that waits, if there is one.
func (t *together) land() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) == 0 {
		t.flights--
		t.waiting = nil
		return
	}
	next := t.waiting[0]
	t.waiting = t.waiting[1:]
	next.turn <- false
}

// fly runs the calls in one round trip.
func (s *Store) fly(ctx context.Context, batch []*call) {
	if len(batch) == 1 {
		c := batch[0]
		c.answer = c.script.Run(ctx, s.rdb, c.keys, c.args...)
		return
	}
	p := s.rdb.Pipeline()
	for _, c := range batch {
		c.answer = p.EvalSha(ctx, c.script.Hash(), c.keys, c.args...)
	}
	_, _ = p.Exec(ctx) // each answer has its own error
	for _, c := range batch {
		if redis.HasErrorPrefix(c.answer.Err(), "NOSCRIPT") {
			c.answer = c.script.Run(ctx, s.rdb, c.keys, c.args...)
		}
	}
}
