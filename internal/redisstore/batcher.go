package redisstore

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Launches that come at the same moment share a round trip: much of a script's cost, in
// the broker and in Redis, is writing and reading it, and a pipeline does that once for
// all of them. Of one script that serves several launches in a call (joint) it is one call:
// what the launches have in common is sent, read and checked once. No call waits for company: one that comes while few pipelines are under way
// goes at once; those that come meanwhile go together in the next.
//
// There is no goroutine for it: one of the waiting callers sends the others' scripts with
// its own.

const (
	// maxPipelines is how many pipelines are under way at once: one is being sent while the
	// replies of the other are read.
	maxPipelines = 2
	// maxBatch bounds the scripts of one pipeline.
	maxBatch = 64
	// batchTimeout bounds a pipeline. It is not the sender's deadline, which may be earlier
	// than those of the calls that it sends.
	batchTimeout = 2 * time.Second
)

// batcher holds the calls that wait for the next pipeline.
type batcher struct {
	mu       sync.Mutex
	inFlight int // pipelines under way
	waiting  []*call
}

// call is one script to run.
type call struct {
	script *redis.Script
	keys   []string
	args   []any
	reply  *redis.Cmd
	// joint is set where the script serves several calls at once.
	joint *joint
	// turn is true when the reply is there, false when it is this call's turn to send what
	// waits.
	turn chan bool
}

// joint is what a call has in common with others of its script: those with the same name run as
// one call, with the keys and args first and then those of each. Its reply is a list with a
// reply for each, of which {"error", message} is an error.
type joint struct {
	name string
	keys []string
	args []any
}

// run runs a script, in one pipeline with those that other callers run at the same moment.
// After an error it is not known whether the script ran.
func (s *Store) run(ctx context.Context, script *redis.Script, keys []string, args ...any) *redis.Cmd {
	return s.await(ctx, &call{script: script, keys: keys, args: args})
}

// await runs a call, and returns its reply.
func (s *Store) await(ctx context.Context, c *call) *redis.Cmd {
	if !s.batcher.enter(c) && !s.batcher.await(ctx, c) {
		// Its deadline passed while it waited: it was not sent.
		c.reply = redis.NewCmd(ctx)
		c.reply.SetErr(context.Cause(ctx))
		return c.reply
	}
	if c.reply == nil {
		s.send(ctx, c)
	}
	return c.reply
}

// enter reports whether the call is sent at once. Otherwise it waits.
func (b *batcher) enter(c *call) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.inFlight < maxPipelines {
		b.inFlight++
		return true
	}
	c.turn = make(chan bool, 1)
	b.waiting = append(b.waiting, c)
	return false
}

// await waits for the reply, or for the call's turn to send. It returns false when ctx was
// done first; then the call will not be sent.
func (b *batcher) await(ctx context.Context, c *call) bool {
	select {
	case <-c.turn:
		return true
	case <-ctx.Done():
	}
	b.mu.Lock()
	i := slices.Index(b.waiting, c)
	if i >= 0 {
		b.waiting = slices.Delete(b.waiting, i, i+1)
	}
	b.mu.Unlock()
	if i >= 0 {
		return false
	}
	// It is in a pipeline already, which batchTimeout bounds, or it is its turn to send.
	<-c.turn
	return true
}

// send runs the call and all that wait, then passes the turn on.
func (s *Store) send(ctx context.Context, c *call) {
	batch := append([]*call{c}, s.batcher.take()...)
	defer s.batcher.leave()
	defer func() {
		for _, other := range batch[1:] {
			other.turn <- true
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), batchTimeout)
	defer cancel()
	s.runBatch(ctx, batch)
}

// take removes the calls from those that wait which go in the next pipeline.
func (b *batcher) take() []*call {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(b.waiting), maxBatch-1)
	taken := b.waiting[:n:n]
	b.waiting = b.waiting[n:]
	return taken
}

// leave ends a pipeline: the next waiting call gets the turn to send.
func (b *batcher) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		b.inFlight--
		b.waiting = nil
		return
	}
	next := b.waiting[0]
	b.waiting = b.waiting[1:]
	next.turn <- false
}

// runBatch runs the calls in one round trip.
func (s *Store) runBatch(ctx context.Context, batch []*call) {
	sent := merged(batch)
	if len(sent) == 1 {
		c := sent[0]
		c.reply = c.script.Run(ctx, s.rdb, c.keys, c.args...)
		c.share(ctx)
		return
	}
	p := s.rdb.Pipeline()
	for _, c := range sent {
		c.reply = p.EvalSha(ctx, c.script.Hash(), c.keys, c.args...)
	}
	_, _ = p.Exec(ctx) // each reply has its own error
	for _, c := range sent {
		if redis.HasErrorPrefix(c.reply.Err(), "NOSCRIPT") {
			c.reply = c.script.Run(ctx, s.rdb, c.keys, c.args...)
		}
		c.share(ctx)
	}
}

// mergedCall is a call as it is sent: one, or several that are one for the script.
type mergedCall struct {
	script *redis.Script
	keys   []string
	args   []any
	reply  *redis.Cmd
	of     []*call
	joint  bool
}

// merged returns the calls as they are sent, in the order of the first of each.
func merged(batch []*call) []*mergedCall {
	sent := make([]*mergedCall, 0, len(batch))
	var byName map[string]*mergedCall
	for _, c := range batch {
		if c.joint == nil {
			sent = append(sent, &mergedCall{script: c.script, keys: c.keys, args: c.args, of: []*call{c}})
			continue
		}
		m := byName[c.joint.name]
		if m == nil {
			m = &mergedCall{script: c.script, keys: slices.Clone(c.joint.keys), args: slices.Clone(c.joint.args), joint: true}
			sent = append(sent, m)
			if byName == nil {
				byName = map[string]*mergedCall{}
			}
			byName[c.joint.name] = m
		}
		m.keys, m.args, m.of = append(m.keys, c.keys...), append(m.args, c.args...), append(m.of, c)
	}
	return sent
}

// share gives each of the calls its part of the reply.
func (m *mergedCall) share(ctx context.Context) {
	if !m.joint {
		m.of[0].reply = m.reply
		return
	}
	replies, err := m.reply.Slice()
	if err == nil && len(replies) != len(m.of) {
		err = fmt.Errorf("a script returned %d replies to %d calls", len(replies), len(m.of))
	}
	for i, c := range m.of {
		c.reply = redis.NewCmd(ctx)
		if err != nil {
			c.reply.SetErr(err)
			continue
		}
		if parts, ok := replies[i].([]any); ok && len(parts) == 2 && parts[0] == "error" {
			c.reply.SetErr(scriptError(fmt.Sprint(parts[1])))
			continue
		}
		c.reply.SetVal(replies[i])
	}
}

// scriptError is an error that Redis answered to one of several calls.
type scriptError string

// Error implements error.
func (e scriptError) Error() string { return string(e) }

// RedisError implements redis.Error.
func (scriptError) RedisError() {}
