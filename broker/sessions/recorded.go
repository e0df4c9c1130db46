package sessions

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/internal/staging"
)

// While Redis does not answer, or has lost its data, a session that has a user is read from
// its fate record in Consul and its job in Nomad. A reverse proxy asks for every request to a
// session, so that the answer is cached for a moment.

const (
	// recordLife is how long a record is used before it is read again.
	recordLife = time.Second
	// staleRecordLife is how long the last record of an assigned session is used while
	// Consul does not answer either: its user keeps the session.
	staleRecordLife = 5 * time.Minute
	// maxRecords bounds the cache.
	maxRecords = 4096
	// registeredWithin is how long after its fate was decided the job of a session made on
	// demand may not be registered in Nomad yet. It is counted from when this broker first
	// found none: the time in the fate is that of another host's clock.
	registeredWithin = deadline.Nomad + deadline.Consul
)

// records reads sessions by their fates, and caches them. It may be used concurrently.
type records struct {
	registry Registry
	fleet    Fleet
	reads    singleflight.Group

	mu    sync.Mutex
	known map[string]record
}

// record is a session by its fate. Its state is assigned, claimed while its launch is under
// way, pending while it does not run yet, or ended.
type record struct {
	session staging.Session
	// located: Nomad has been read, so that the image, the node and the ports are known.
	located bool
	// none: no fate assigns the session to a user.
	none bool
	at   time.Time
	// joblessSince is since when each reading found no job; zero where the last one did.
	joblessSince time.Time
}

func newRecords(registry Registry, fleet Fleet) *records {
	return &records{registry: registry, fleet: fleet, known: map[string]record{}}
}

// of returns a session's record, which may be a second old. It is an error where Consul does
// not answer and has not answered lately.
func (r *records) of(ctx context.Context, id string) (record, error) {
	last, cached := r.cached(id)
	if cached && time.Since(last.at) <= recordLife {
		return last, nil
	}
	reading := r.reads.DoChan(id, func() (any, error) {
		fresh, err := r.read(context.WithoutCancel(ctx), id)
		if err == nil {
			r.keep(id, fresh)
		}
		return fresh, err
	})
	select {
	case <-ctx.Done():
		return record{}, context.Cause(ctx)
	case done := <-reading:
		if done.Err == nil {
			return done.Val.(record), nil
		}
		if cached && last.session.State == staging.Assigned && time.Since(last.at) <= staleRecordLife {
			return last, nil
		}
		return record{}, done.Err
	}
}

func (r *records) cached(id string) (record, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last, ok := r.known[id]
	return last, ok
}

// forget drops a session's record, which was changed.
func (r *records) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, id)
}

// keep caches a record. Where the cache is full it drops what is no longer used, and if that
// is nothing, any one.
func (r *records) keep(id string, fresh record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.known) >= maxRecords {
		for other, old := range r.known {
			if old.none || time.Since(old.at) > staleRecordLife {
				delete(r.known, other)
			}
		}
	}
	for other := range r.known {
		if len(r.known) < maxRecords {
			break
		}
		delete(r.known, other)
	}
	r.known[id] = fresh
}

// read reads a session's fate and, where that assigns it to a user, its job.
func (r *records) read(ctx context.Context, id string) (record, error) {
	now := record{at: time.Now()}
	consul, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	f, err := r.registry.Fate(consul, id)
	if errors.Is(err, staging.ErrNoResource) {
		now.none = true
		return now, nil
	}
	if err != nil {
		return now, err
	}
	f.Session = id
	zone, known := r.registry.Resources().Zones[f.Zone]
	now.session = f.Given(staging.Session{ID: id, Zone: f.Zone, Namespace: f.NamespaceIn(zone), Region: zone.Region})
	switch {
	case f.Verdict != staging.VerdictAssigned || f.User == nil:
		now.none = true
		return now, nil
	case f.Reason != "":
		now.session.State = staging.Ended // its launch was given up
		return now, nil
	case f.HookPending:
		now.session.State = staging.Claimed
		return now, nil
	}
	nomad, cancel := context.WithTimeout(ctx, deadline.Nomad)
	defer cancel()
	found, err := r.fleet.Find(nomad, now.session)
	switch {
	case errors.Is(err, staging.ErrNoSession) && !known && f.Namespace == "":
		// Its namespace is not known, so that Nomad's answer is about another one.
	case errors.Is(err, staging.ErrSessionOver):
		now.session.State = staging.Ended
	case errors.Is(err, staging.ErrNoSession):
		last, _ := r.cached(id)
		if now.joblessSince = last.joblessSince; now.joblessSince.IsZero() {
			now.joblessSince = now.at
		}
		now.session.State = staging.Ended
		if now.at.Sub(now.joblessSince) < registeredWithin {
			now.session.State = staging.Pending
		}
	case err != nil:
		// What cannot be observed changes nothing: the fate stands.
	default:
		now.session, now.located = f.Given(found), true
		if found.AllocID == "" {
			now.session.State = staging.Pending
		}
	}
	return now, nil
}
