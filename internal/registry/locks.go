package registry

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"
)

// Times of the locks. A holder that is killed is heard of lockTTL after its last
// beat, its locks are free lockDelay later, and others look every lockPoll.
const (
	lockTTL   = 5 * time.Second
	lockBeat  = time.Second
	lockDelay = time.Second
	lockPoll  = 500 * time.Millisecond
	// lockMargin is taken off the time that a beat is good for: the clocks of
	// two machines do not run at exactly the same speed.
	lockMargin = 500 * time.Millisecond
	lockCall   = 2 * time.Second
)

// lockService is the service whose check says whether a holder of locks lives.
const lockService = "greenroom-scaler-locks"

// Locks are one program's part of the locks that several share, each by its
// name. Run takes those that are wanted and free, and keeps them.
//
// A lock is held through a Consul session that lives as long as a check of the
// program's own passes. Held trusts two things: that Consul said, when it was last
// asked, that the lock is this session's; and that the session lives until the
// last beat that Consul took is lockTTL old. Past that Held is false, whether or
// not Consul can be asked. A step that has begun is not called back: what must
// never happen twice has to be decided by a fate record, and is.
type Locks struct {
	kv      *api.KV
	agent   *api.Agent
	session *api.Session
	prefix  string
	// name tells holders apart, for people.
	name string

	mu   sync.Mutex
	want []string
	held map[string]bool
	// goodUntil is until when the session is known to live.
	goodUntil time.Time
	id        string
}

// NewLocks returns a program's locks; name tells it from the others and must be
// its own.
func (r *Registry) NewLocks(client *api.Client, name string) *Locks {
	return &Locks{
		kv: client.KV(), agent: client.Agent(), session: client.Session(), prefix: r.prefix + "locks/", name: name,
		held: map[string]bool{},
	}
}

// Want says which locks are wanted from now on. Those that no longer are, are let go.
func (l *Locks) Want(names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.want = names
}

// Held reports whether the lock is surely held now.
func (l *Locks) Held(name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held[name] && time.Now().Before(l.goodUntil)
}

// Run keeps the locks until ctx is done, and lets them go before it returns, so
// that others have them at once. What it could not do is told to problem, which
// must not block.
func (l *Locks) Run(ctx context.Context, problem func(error)) {
	l.loop(ctx, problem)
	l.release(problem)
}

func (l *Locks) loop(ctx context.Context, problem func(error)) {
	beat := time.NewTicker(lockBeat)
	defer beat.Stop()
	poll := time.NewTicker(lockPoll)
	defer poll.Stop()
	for {
		if err := l.keep(ctx); err != nil && ctx.Err() == nil {
			problem(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		case <-poll.C:
		}
	}
}

// keep is one round: beat, see to the session, and to each lock.
func (l *Locks) keep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lockCall)
	defer cancel()
	beat := time.Now()
	if err := l.beat(ctx); err != nil {
		return err
	}
	if err := l.open(ctx); err != nil {
		return err
	}
	// What is read now was so after the beat, so it stays so until the beat is too old.
	return l.look(ctx, beat.Add(lockTTL-lockMargin))
}

func (l *Locks) serviceID() string { return lockService + "-" + l.name }
func (l *Locks) checkID() string   { return l.serviceID() + "-lives" }

// beat says that the program lives, and registers its check where Consul does
// not know it (any more).
func (l *Locks) beat(ctx context.Context) error {
	err := l.agent.UpdateTTLOpts(l.checkID(), "holds what it holds", api.HealthPassing, query(ctx))
	var status api.StatusError
	if errors.As(err, &status) && (status.Code == 404 || status.Code == 500) {
		err = l.agent.ServiceRegisterOpts(&api.AgentServiceRegistration{
			ID: l.serviceID(), Name: lockService,
			Check: &api.AgentServiceCheck{
				CheckID: l.checkID(), Name: "holder lives", TTL: lockTTL.String(), Status: api.HealthPassing,
				DeregisterCriticalServiceAfter: "1m",
			},
		}, api.ServiceRegisterOpts{}.WithContext(ctx))
		// The registration begins a life of its own: a session of before is over.
		l.forget()
	}
	return err
}

// forget lets go, in memory, of a session that is over: another one is made at
// the next round.
func (l *Locks) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.id, l.held, l.goodUntil = "", map[string]bool{}, time.Time{}
}

// open makes a session where there is none.
func (l *Locks) open(ctx context.Context) error {
	l.mu.Lock()
	id := l.id
	l.mu.Unlock()
	if id != "" {
		return nil
	}
	id, _, err := l.session.Create(&api.SessionEntry{
		Name: l.name, LockDelay: lockDelay, Behavior: api.SessionBehaviorRelease,
		ServiceChecks: []api.ServiceCheck{{ID: l.checkID()}},
	}, write(ctx))
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.id = id
	return nil
}

// look reads all locks at once, takes those that are wanted and free, and lets
// go of those that are not wanted.
func (l *Locks) look(ctx context.Context, goodUntil time.Time) error {
	l.mu.Lock()
	id, want := l.id, l.want
	l.mu.Unlock()
	pairs, _, err := l.kv.List(l.prefix, query(ctx))
	if err != nil {
		return err
	}
	holder := make(map[string]string, len(pairs))
	for _, p := range pairs {
		holder[p.Key] = p.Session
	}
	held := map[string]bool{}
	wanted := map[string]bool{}
	for _, name := range want {
		key := l.prefix + name
		wanted[key] = true
		if holder[key] == "" {
			taken, _, err := l.kv.Acquire(&api.KVPair{Key: key, Value: []byte(l.name), Session: id}, write(ctx))
			if err != nil {
				var status api.StatusError
				if errors.As(err, &status) && status.Code == 500 {
					l.forget() // Consul does not know the session
				}
				return err
			}
			held[name] = taken
			continue
		}
		held[name] = holder[key] == id
	}
	l.mu.Lock()
	l.held, l.goodUntil = held, goodUntil
	l.mu.Unlock()
	for key, session := range holder {
		if session == id && !wanted[key] {
			if _, _, err := l.kv.Release(&api.KVPair{Key: key, Session: id}, write(ctx)); err != nil {
				return err
			}
		}
	}
	return nil
}

// release lets everything go: the session with its locks, and the service.
func (l *Locks) release(problem func(error)) {
	l.mu.Lock()
	id := l.id
	l.mu.Unlock()
	l.forget()
	ctx, cancel := context.WithTimeout(context.Background(), lockCall)
	defer cancel()
	if id != "" {
		// Released one by one they are free at once; a destroyed session's are only
		// after the delay.
		pairs, _, err := l.kv.List(l.prefix, query(ctx))
		for _, p := range pairs {
			if p.Session == id {
				_, _, relErr := l.kv.Release(&api.KVPair{Key: p.Key, Session: id}, write(ctx))
				err = errors.Join(err, relErr)
			}
		}
		_, destroyErr := l.session.Destroy(id, write(ctx))
		if err = errors.Join(err, destroyErr); err != nil {
			problem(err)
		}
	}
	if err := l.agent.ServiceDeregisterOpts(l.serviceID(), query(ctx)); err != nil {
		problem(err)
	}
}
