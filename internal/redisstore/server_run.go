package redisstore

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// A replica that becomes the primary, and a Redis that starts again from its file, may lack
// the newest writes: a session that a user was given is ready there, and a launch's
// Idempotency-Key is free. So trust in a zone counts on the server alone on which a scaler
// renewed it. The zone's trust hash has the run id of that server, which a replica copies and
// does not share.
//
// Where trust is renewed, the script compares the two. A claim's script does not, because to
// read its server's run id would cost it a tenth of its time. Instead a store compares them
// before the first claim after anything that may mean that another server answers, and again
// after a claim during which such a thing happened.

// serverWatch counts what may mean that another server answers a store's calls: a new connection,
// an error, and in a Redis Cluster a script that another node ran than the last one.
type serverWatch struct {
	changes atomic.Uint64
	// node is the node that ran the last script.
	node atomic.Pointer[nodeHook]
	// confirmed has by zone the count of changes at which the zone's scaler trusted the server.
	confirmed sync.Map
}

// add adds the watch to a client. In a cluster each node has a client of its own.
func (w *serverWatch) add(rdb redis.UniversalClient) {
	if c, ok := rdb.(*redis.ClusterClient); ok {
		c.OnNewNode(func(node *redis.Client) { node.AddHook(&nodeHook{watch: w}) })
		return
	}
	rdb.AddHook(&nodeHook{watch: w})
}

// nodeHook is the hook of the client of one server.
type nodeHook struct{ watch *serverWatch }

// DialHook implements redis.Hook.
func (h *nodeHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		// Counted before anything is sent by it.
		h.watch.changes.Add(1)
		return conn, err
	}
}

// ProcessHook implements redis.Hook.
func (h *nodeHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		h.note(cmd.Name(), err)
		return err
	}
}

// ProcessPipelineHook implements redis.Hook.
func (h *nodeHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		h.note(cmds[0].Name(), err)
		return err
	}
}

func (h *nodeHook) note(command string, err error) {
	if err != nil && !errors.Is(err, redis.Nil) {
		h.watch.changes.Add(1)
	}
	if command == "evalsha" && h.watch.node.Load() != h && h.watch.node.Swap(h) != h {
		h.watch.changes.Add(1)
	}
}

// trustHere reports whether none of the pools' zones is trusted on another server than the
// one that answers. It asks Redis only after a change. A zone whose trust has expired is the
// claim's matter.
func (s *Store) trustHere(ctx context.Context, pools []staging.Config) (bool, error) {
	for _, p := range pools {
		changes := s.server.changes.Load()
		if last, ok := s.server.confirmed.Load(p.Zone); ok && last == changes {
			continue
		}
		state, err := s.trustIn(ctx, p.Zone)
		switch {
		case err != nil:
			return false, err
		case state == trustedElsewhere:
			return false, nil
		case state == trusted:
			s.server.confirmed.Store(p.Zone, changes)
		}
	}
	return true, nil
}

// Claim takes n ready sessions of the launch's image, or none, from the pools in their
// order, and reserves the launch's Idempotency-Key. Each pool's own zone counts, not the
// claim's. An error leaves it unknown whether sessions were claimed.
func (s *Store) Claim(ctx context.Context, pools []staging.Config, n int, c staging.Claim) (staging.ClaimResult, error) {
	if here, err := s.trustHere(ctx, pools); err != nil || !here {
		return untrusted(pools), err
	}
	r, err := s.claim(ctx, pools, n, c)
	if err != nil || c.Final {
		// No fate record follows a final claim: there Redis decides alone, as it is.
		return r, err
	}
	here, err := s.trustHere(ctx, pools)
	if err == nil && here {
		return r, nil
	}
	// Another server answered it, whose sessions may be users' already.
	for _, x := range r.Sessions {
		if undo := s.Unclaim(ctx, x); undo != nil {
			return staging.ClaimResult{}, undo
		}
	}
	return untrusted(pools), err
}

// untrusted is the result of a claim in whose zones Redis is not trusted.
func untrusted(pools []staging.Config) staging.ClaimResult {
	r := staging.ClaimResult{Outcome: staging.ClaimUntrusted, Ready: make([]int, len(pools))}
	for i := range r.Ready {
		r.Ready[i] = staging.Untrusted
	}
	return r
}
