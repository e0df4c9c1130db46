package registry

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/consul/api"
)

// beat renews the TTL check of the program. If Consul does not have the check, beat
// registers it.
func (l *Locks) beat(ctx context.Context) error {
	registered, err := l.life.beat(ctx)
	if registered {
		// A session that depended on the lost check has ended.
		l.forgetSession()
	}
	return err
}

// forgetSession drops a session that seems to have ended, and its locks, from memory. The next
// pass opens another one.
func (l *Locks) forgetSession() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sessionID != "" {
		l.forgotten = append(l.forgotten, l.sessionID)
	}
	l.sessionID, l.held, l.validUntil = "", map[string]bool{}, time.Time{}
}

// openSession creates a Consul session if there is none, and first ends those that were
// forgotten. One of them may live: an agent with a full disk, for example, answers a heartbeat
// with an error and has the check. It would live as long as the program, whose check they share,
// and keep the locks from everybody.
func (l *Locks) openSession(ctx context.Context) error {
	l.mu.Lock()
	id, forgotten := l.sessionID, l.forgotten
	l.mu.Unlock()
	if id != "" {
		return nil
	}
	for _, old := range forgotten {
		if _, err := l.session.Destroy(old, write(ctx)); err != nil {
			return callError(err, "destroy session %s", old)
		}
	}
	id, _, err := l.session.Create(&api.SessionEntry{
		Name: l.name, LockDelay: lockDelay, Behavior: api.SessionBehaviorRelease,
		ServiceChecks: []api.ServiceCheck{{ID: l.life.checkID}},
	}, write(ctx))
	if err != nil {
		return callError(err, "create the session of locks %s", l.name)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessionID, l.forgotten = id, nil
	return nil
}

// acquire tries to acquire a lock that was free a moment ago.
func (l *Locks) acquire(ctx context.Context, key, id string) (bool, error) {
	acquired, _, err := l.kv.Acquire(&api.KVPair{Key: key, Value: []byte(l.name), Session: id}, write(ctx))
	var status api.StatusError
	if errors.As(err, &status) && status.Code == 500 {
		l.forgetSession() // Consul does not have the session
	}
	return acquired, callError(err, "acquire %s", key)
}

func (l *Locks) releaseOne(ctx context.Context, key, id string) error {
	_, _, err := l.kv.Release(&api.KVPair{Key: key, Session: id}, write(ctx))
	return callError(err, "release %s", key)
}

// release releases all locks, destroys the session and deregisters the service.
func (l *Locks) release(report func(error)) {
	l.mu.Lock()
	id := l.sessionID
	l.mu.Unlock()
	l.forgetSession()
	ctx, cancel := context.WithTimeout(context.Background(), lockCall)
	defer cancel()
	if id != "" {
		// A released lock is free at once; those of a destroyed session only after
		// lockDelay.
		pairs, _, err := l.kv.List(l.prefix, query(ctx))
		err = callError(err, "list %s", l.prefix)
		for _, p := range pairs {
			if p.Session == id {
				err = errors.Join(err, l.releaseOne(ctx, p.Key, id))
			}
		}
		_, destroyErr := l.session.Destroy(id, write(ctx))
		if err = errors.Join(err, callError(destroyErr, "destroy session %s", id)); err != nil {
			report(err)
		}
	}
	if err := l.life.end(ctx); err != nil {
		report(err)
	}
}
