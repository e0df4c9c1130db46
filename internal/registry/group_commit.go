package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

// Each write to Consul costs a round of Raft, whatever it holds. So writes of fates share
// transactions (group commit): a write that finds none under way goes at once, and nobody
// waits for company; what arrives while one is under way goes together in the next.
//
// A transaction is one for Consul, and its writes are still decided each for itself. Consul
// names every operation that it refuses, and then does nothing. The writes of those operations
// have lost and are answered, and the others are sent again. No two writes of a transaction
// touch the same key: the second would be refused because of the first, which may lose in its
// turn, and would have been told of a winner that does not exist.

const (
	// maxTxnBytes is how much the values of a shared transaction hold at most. Consul takes
	// requests of 512 KiB (txn_max_req_len), in which values are a third longer.
	maxTxnBytes = 256 << 10
	// sharedTimeout bounds a shared transaction, which outlives the callers that give up.
	sharedTimeout = 5 * time.Second
)

// errNotSent: the caller gave up before its write was sent, so nothing was written.
var errNotSent = errors.New("it waited for other writes and was not sent")

// groupCommit gathers the writes of many callers into shared transactions. It may be used
// concurrently. send writes one transaction: failed are the operations that Consul refused, and
// answer is of one that was done. plain: its one operation needs no index in the answer. A
// goroutine of its own runs only while writes wait, and each transaction has a deadline.
type groupCommit struct {
	send func(ctx context.Context, ops api.TxnOps, plain bool) (answer api.TxnResults, failed []int, err error)

	mu sync.Mutex
	// busy: a transaction is under way. A second one at the same time only splits what would go
	// in one: measured, 128 callers wrote a tenth less.
	busy    bool
	waiting []*groupWrite
}

// groupWrite is the operations of one caller: all of them are done or none.
type groupWrite struct {
	ops api.TxnOps
	// plain: no write will follow, so the index in the answer does not matter. background:
	// nobody waits for it, so it goes when there is room.
	plain, background bool

	ctx context.Context
	// indices, failed and err are the outcome. They are set before done is closed.
	done    chan struct{}
	indices map[string]uint64
	failed  []int
	err     error
}

// do writes one caller's operations. indices are the new indices of the keys, of those that
// Consul tells; failed are the operations that it refused, if any, and then nothing was written.
// An error means that nothing is known of the outcome.
func (g *groupCommit) do(ctx context.Context, w *groupWrite) (indices map[string]uint64, failed []int, err error) {
	w.ctx = ctx
	g.mu.Lock()
	if g.busy {
		w.done = make(chan struct{})
		g.waiting = append(g.waiting, w)
		g.mu.Unlock()
		select {
		case <-w.done:
			return w.indices, w.failed, w.err
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("wait for a shared transaction: %w", ctx.Err())
		}
	}
	g.busy = true
	g.mu.Unlock()
	defer func() {
		if batch := g.next(nil); len(batch) > 0 {
			go g.run(batch)
		}
	}()
	answer, failed, err := g.send(ctx, w.ops, w.plain)
	return indicesOf(answer), failed, err
}

// run sends a batch, and then those that have gathered meanwhile, until none waits.
func (g *groupCommit) run(batch []*groupWrite) {
	for len(batch) > 0 {
		batch = g.next(g.commit(batch))
	}
}

// commit sends a batch and answers the writes in it that are decided. It returns the others:
// nothing of them was written, and nothing stood in their way.
func (g *groupCommit) commit(batch []*groupWrite) (again []*groupWrite) {
	var ops api.TxnOps
	var of [][]part // whose each operation is
	checks := map[check]int{}
	for _, w := range batch {
		for i, op := range w.ops {
			n, there := checks[checkOf(op)]
			if !there {
				n = len(ops)
				ops, of = append(ops, op), append(of, nil)
				if !writes(op) {
					checks[checkOf(op)] = n
				}
			}
			of[n] = append(of[n], part{w, i})
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(batch[0].ctx), sharedTimeout)
	answer, failed, err := g.send(ctx, ops, len(batch) == 1 && batch[0].plain)
	cancel()
	switch {
	case err != nil && len(batch) > 1 && malformed(err):
		// One of them is at fault, and which one is not said.
		for _, w := range batch {
			g.commit([]*groupWrite{w})
		}
		return nil
	case err == nil && len(failed) > 0:
		for _, op := range failed {
			for _, p := range of[op] {
				p.of.failed = append(p.of.failed, p.at)
			}
		}
	}
	indices := indicesOf(answer)
	for _, w := range batch {
		if err == nil && len(failed) > 0 && len(w.failed) == 0 {
			again = append(again, w)
			continue
		}
		w.indices, w.err = indices, err
		close(w.done)
	}
	return again
}

// part is an operation as one of a caller's: its number there is at.
type part struct {
	of *groupWrite
	at int
}

// check is what an operation checks without changing it. Launches have such checks in common, and
// Consul does each of a transaction once: all whose check it is fail with it.
type check struct {
	verb  api.KVOp
	key   string
	index uint64
}

func checkOf(op *api.TxnOp) check { return check{op.KV.Verb, op.KV.Key, op.KV.Index} }

// next returns the batch to send next, first of all the writes that are sent again. Where none
// waits it ends the caller's turn.
func (g *groupCommit) next(again []*groupWrite) (batch []*groupWrite) {
	g.mu.Lock()
	defer g.mu.Unlock()
	waiting := append(again, g.waiting...)
	slices.SortStableFunc(waiting, func(a, b *groupWrite) int { return order(a) - order(b) })
	g.waiting = nil
	touched, checks := map[string]bool{}, map[check]bool{}
	ops, bytes := 0, 0
	for _, w := range waiting {
		if err := w.ctx.Err(); err != nil {
			w.err = fmt.Errorf("%w: %w", errNotSent, err)
			close(w.done)
			continue
		}
		size := w.size()
		if len(batch) > 0 && (ops+w.added(checks) > maxTxnOps || bytes+size > maxTxnBytes || w.touches(touched)) {
			g.waiting = append(g.waiting, w)
			continue
		}
		ops += w.added(checks)
		for _, op := range w.ops {
			touched[op.KV.Key] = touched[op.KV.Key] || writes(op)
			if !writes(op) {
				checks[checkOf(op)] = true
			}
		}
		batch, bytes = append(batch, w), bytes+size
	}
	g.busy = len(batch) > 0
	return batch
}

// order puts writes for which somebody waits before the others.
func order(w *groupWrite) int {
	if w.background {
		return 1
	}
	return 0
}

// touches: the write has a key in common with others of the batch, and one of them changes it.
func (w *groupWrite) touches(touched map[string]bool) bool {
	return slices.ContainsFunc(w.ops, func(op *api.TxnOp) bool {
		changed, there := touched[op.KV.Key]
		return there && (changed || writes(op))
	})
}

// writes: the operation changes its key. The checks that a user is not locked, and that a
// resource is as it was read, do not: launches have them in common.
func writes(op *api.TxnOp) bool {
	return op.KV.Verb != api.KVCheckNotExists && op.KV.Verb != api.KVCheckIndex
}

// added is how many operations the write adds to a batch that has some checks already.
func (w *groupWrite) added(checks map[check]bool) (n int) {
	for _, op := range w.ops {
		if writes(op) || !checks[checkOf(op)] {
			n++
		}
	}
	return n
}

// size is how many bytes the values of the write have.
func (w *groupWrite) size() (n int) {
	for _, op := range w.ops {
		n += len(op.KV.Value)
	}
	return n
}

// indicesOf returns the indices of the keys that a transaction wrote.
func indicesOf(answer api.TxnResults) map[string]uint64 {
	indices := make(map[string]uint64, len(answer))
	for _, r := range answer {
		if r.KV != nil {
			indices[r.KV.Key] = r.KV.ModifyIndex
		}
	}
	return indices
}

// malformed: Consul did not take the request, because of what is in it.
func malformed(err error) bool {
	var status api.StatusError
	return errors.As(err, &status) && (status.Code == http.StatusBadRequest || status.Code == http.StatusRequestEntityTooLarge)
}
