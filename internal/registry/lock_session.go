package registry

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/consul/api"
)

func (l *Locks) serviceID() string { return l.service + "-" + l.name }
func (l *Locks) checkID() string   { return l.serviceID() + "-lives" }

// beat renews the TTL check of the program. If Consul does not have the check, beat
// registers it.
func (l *Locks) beat(ctx context.Context) error {
	registered, err := l.heartbeat().beat(ctx)
	if registered {
		// A session that depended on the lost check has ended.
		l.forgetSession()
	}
	return err
}

func (l *Locks) heartbeat() heartbeat {
	return heartbeat{
		agent: l.agent, service: l.service, serviceID: l.serviceID(), checkID: l.checkID(), check: "holder lives",
		note: "the holder of the locks is alive", ttl: lockTTL,
	}
}

// forgetSession drops an ended session and its locks from memory. The next pass opens
// another one.
func (l *Locks) forgetSession() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessionID, l.held, l.validUntil = "", map[string]bool{}, time.Time{}
}

// openSession creates a Consul session if there is none.
func (l *Locks) openSession(ctx context.Context) error {
	l.mu.Lock()
	id := l.sessionID
	l.mu.Unlock()
	if id != "" {
		return nil
	}
	id, _, err := l.session.Create(&api.SessionEntry{
		Name: l.name, LockDelay: lockDelay, Behavior: api.SessionBehaviorRelease,
		ServiceChecks: []api.ServiceCheck{{ID: l.checkID()}},
	}, write(ctx))
	if err != nil {
		return callError(err, "create the session of locks %s", l.name)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessionID = id
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
	if err := l.heartbeat().end(ctx); err != nil {
		report(err)
	}
}
