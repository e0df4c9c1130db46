package peers

import (
	"context"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

const (
	// recordsEvery is the time between two passes over the records of peers' sessions, recordLife
	// how old a record is that a pass looks at, and openLife how long a key is kept whose crossing
	// has had no outcome.
	recordsEvery = 10 * time.Minute
	recordLife   = 10 * time.Minute
	openLife     = 24 * time.Hour
	// checksAPass bounds the calls to peers in one pass.
	checksAPass = 1000
)

// Recorded is what is kept of the sessions that peers gave.
type Recorded interface {
	RemoteSessions(ctx context.Context) ([]staging.RemoteSession, error)
	ForgetRemoteSession(ctx context.Context, s staging.RemoteSession) error
	// ForgetOpenCrossings frees the keys whose crossings have had no outcome since a time.
	ForgetOpenCrossings(ctx context.Context, since time.Time) (int, error)
}

// KeepRecords forgets the sessions of peers that have ended there, until ctx is done. Every broker
// does so: forgetting is idempotent.
func (p *Peers) KeepRecords(ctx context.Context, of Recorded) {
	again := time.NewTicker(recordsEvery)
	defer again.Stop()
	after := "" // the last session that was looked at
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
		var err error
		if after, err = p.forget(ctx, of, after, time.Now()); err != nil && ctx.Err() == nil {
			p.log.WithError(err).Warn("could not forget sessions of peers that have ended; the next pass will")
		}
	}
}

// forget looks at a bounded number of records after a session, and returns where the next
// pass begins.
func (p *Peers) forget(ctx context.Context, of Recorded, after string, now time.Time) (last string, err error) {
	read, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	if _, err := of.ForgetOpenCrossings(read, now.Add(-openLife)); err != nil {
		return after, err
	}
	all, err := of.RemoteSessions(read)
	if err != nil {
		return after, err
	}
	checks := 0
	for _, s := range all {
		if s.Session <= after || now.Sub(s.GivenAt) < recordLife || p.Reachable(s.Peer) != nil {
			continue
		}
		if checks++; checks > checksAPass {
			return last, nil
		}
		last = s.Session
		ended, err := p.Ended(ctx, s)
		if err != nil || !ended {
			if err != nil {
				p.log.WithError(err).WithField(logfield.Session, s.Session).Debug("cannot read a session at a peer")
			}
			continue
		}
		write, cancel := context.WithTimeout(ctx, deadline.Consul)
		err = of.ForgetRemoteSession(write, s)
		cancel()
		if err != nil {
			return last, err
		}
	}
	return "", nil // from the beginning
}
