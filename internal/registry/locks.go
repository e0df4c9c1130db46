package registry

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

// Times of the locks. After a holder is killed, its Consul session ends lockTTL after its
// last heartbeat, its locks are free lockDelay later, and others try every lockPoll.
const (
	lockTTL   = 5 * time.Second
	lockBeat  = time.Second
	lockDelay = time.Second
	lockPoll  = 500 * time.Millisecond
	// lockMargin is subtracted from the time for which a heartbeat is valid, because the
	// clocks of two machines do not run at exactly the same speed.
	lockMargin = 500 * time.Millisecond
	// lockCall is the timeout of one pass.
	lockCall = 2 * time.Second
)

// lockService is the service whose check shows whether a holder of locks is alive, in an
// installation with the default prefix.
const lockService = "greenroom-scaler-locks"

// Locks is one program's view of named locks that several programs share. Run acquires
// the wanted locks that are free, and keeps them.
//
// A lock is held through a Consul session, which lives as long as a TTL check of the
// program passes. Held relies on two facts: Consul returned this session as the lock's
// holder at the last read, and the session lives until the last heartbeat that Consul
// accepted is lockTTL old. After that Held is false, whether or not Consul answers. A
// step that has begun is not interrupted. A step that must never happen twice therefore
// needs a fate record as its fence.
type Locks struct {
	kv      *api.KV
	session *api.Session
	prefix  string
	// life shows whether the holder is alive.
	life heartbeat
	// name identifies the holder to people.
	name string

	mu     sync.Mutex
	wanted []string
	held   map[string]bool
	// validUntil is when the session may end.
	validUntil time.Time
	// sessionID is the Consul session, "" for none.
	sessionID string
	// forgotten are sessions that are no longer used, and may not have ended.
	forgotten []string
}

// Show makes Consul show the holder's address and version. Call it before Run.
func (l *Locks) Show(address, version string) { l.life.meta = shown(address, version) }

// NewLocks returns the locks of a program. name must be the program's own.
func (r *Registry) NewLocks(client *api.Client, name string) *Locks {
	service := r.service(lockService)
	serviceID := service + "-" + name
	return &Locks{
		kv: client.KV(), session: client.Session(), prefix: r.prefix + "locks/", name: name, held: map[string]bool{},
		life: heartbeat{
			agent: client.Agent(), service: service, serviceID: serviceID, checkID: serviceID + "-lives", check: "holder lives",
			note: "the holder of the locks is alive", ttl: lockTTL,
		},
	}
}

// Want replaces the names of the wanted locks. Run releases the locks that are not in it.
func (l *Locks) Want(names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wanted = names
}

// Held reports whether this program certainly holds the lock now.
func (l *Locks) Held(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held[name] && time.Now().Before(l.validUntil)
}

// Run acquires and keeps the locks until ctx is done. It releases them before it returns,
// so that others can acquire them at once. It passes errors to report, which must not
// block.
func (l *Locks) Run(ctx context.Context, report func(error)) {
	l.loop(ctx, report)
	l.release(report)
}

func (l *Locks) loop(ctx context.Context, report func(error)) {
	beat := time.NewTicker(lockBeat)
	defer beat.Stop()
	poll := time.NewTicker(lockPoll)
	defer poll.Stop()
	for {
		if err := l.pass(ctx); err != nil && ctx.Err() == nil {
			report(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		case <-poll.C:
		}
	}
}

// pass sends a heartbeat, makes sure that there is a session, and acquires and releases
// locks.
func (l *Locks) pass(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lockCall)
	defer cancel()
	beatAt := time.Now()
	if err := l.beat(ctx); err != nil {
		return err
	}
	if err := l.openSession(ctx); err != nil {
		return err
	}
	// The locks are read after the heartbeat, so they are valid for as long as it is.
	return l.syncLocks(ctx, beatAt.Add(lockTTL-lockMargin))
}

// syncLocks reads all locks at once, acquires those that are wanted and free, and releases
// those that are no longer wanted.
func (l *Locks) syncLocks(ctx context.Context, validUntil time.Time) error {
	l.mu.Lock()
	id, names := l.sessionID, l.wanted
	l.mu.Unlock()
	pairs, _, err := list(l.kv, l.prefix, query(ctx))
	if err != nil {
		return err
	}
	holder := make(map[string]string, len(pairs))
	for _, p := range pairs {
		holder[p.Key] = p.Session
	}
	held := map[string]bool{}
	wanted := map[string]bool{}
	for _, name := range names {
		key := l.prefix + name
		wanted[key] = true
		if holder[key] == "" {
			acquired, err := l.acquire(ctx, key, id)
			if err != nil {
				return err
			}
			held[name] = acquired
			continue
		}
		held[name] = holder[key] == id
	}
	l.mu.Lock()
	l.held, l.validUntil = held, validUntil
	l.mu.Unlock()
	for key, session := range holder {
		if session == id && !wanted[key] {
			if err := l.releaseOne(ctx, key, id); err != nil {
				return err
			}
		}
	}
	return nil
}
