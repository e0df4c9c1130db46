package consulhealth

import (
	"context"
	"sync"
	"time"
)

// Consul accepts 200 connections from one address by default, a blocking query holds one,
// and brokers and Nomad may be on the same host.
const (
	// maxQueries is the most queries of watches at a time.
	maxQueries = 64
	// roundTime is about how long it takes until every watch has had its turn, when there
	// are more watches than queries.
	roundTime = 2 * time.Second
	// shortestTurn bounds the number of queries a second.
	shortestTurn = 100 * time.Millisecond
)

// turns share a bounded number of queries among any number of watches. While there are no
// more watches than queries, each watch has its own, which stays open until something
// changes. Beyond that, the watches take turns.
type turns struct {
	free chan struct{}

	mu      sync.Mutex
	watches int
	// crowded is done while the watches take turns: it ends the queries that were to stay
	// open.
	crowded context.Context
	crowd   context.CancelFunc
}

func newTurns(queries int) *turns {
	t := &turns{free: make(chan struct{}, queries)}
	t.crowded, t.crowd = context.WithCancel(context.Background())
	return t
}

// join adds a watch until leave is called.
func (t *turns) join() (leave func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.watches++; t.watches > cap(t.free) {
		t.crowd()
	}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.watches--; t.watches == cap(t.free) {
			t.crowded, t.crowd = context.WithCancel(context.Background())
		}
	}
}

// turn is the right to one query.
type turn struct {
	// ctx is the query's context, wait how long it stays open.
	ctx  context.Context
	wait time.Duration
	// cutShort reports whether ctx was ended so that the watches can take turns. end gives
	// the right back.
	cutShort func() bool
	end      func()
}

// take waits for a turn. It returns the error of ctx.
func (t *turns) take(ctx context.Context) (turn, error) {
	select {
	case <-ctx.Done():
		return turn{}, ctx.Err()
	case t.free <- struct{}{}:
	}
	t.mu.Lock()
	crowded, watches := t.crowded, t.watches
	t.mu.Unlock()
	query, cancel := context.WithCancel(ctx)
	if watches > cap(t.free) {
		wait := max(shortestTurn, roundTime*time.Duration(cap(t.free))/time.Duration(watches))
		return turn{query, wait, func() bool { return false }, func() { cancel(); <-t.free }}, nil
	}
	stop := context.AfterFunc(crowded, cancel)
	cutShort := func() bool { return query.Err() != nil && ctx.Err() == nil }
	return turn{query, watchWait, cutShort, func() { stop(); cancel(); <-t.free }}, nil
}

// ownQuery is take for a watch that has a query to itself.
func ownQuery(ctx context.Context) (turn, error) {
	return turn{ctx, watchWait, func() bool { return false }, func() {}}, ctx.Err()
}
