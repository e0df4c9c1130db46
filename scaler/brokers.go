package scaler

import (
	"context"
	"time"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

const (
	// brokersPoll is how often the brokers are read.
	brokersPoll = 2 * time.Second
	// brokersSettle is how long before a read a claim must have been made: Consul shows a
	// broker that has come back a moment after its agent knows.
	brokersSettle = 2 * time.Second
	// deadFor is how long Consul must list a broker as not alive before the broker counts as
	// gone: a Consul agent that was restarted does so until the broker's next heartbeat.
	deadFor = 4 * time.Second
	// absentFor is how long Consul must not list a broker at all.
	absentFor = 20 * time.Second
)

// brokers are the brokers as Consul shows them. The zero value knows nothing.
type brokers struct {
	// readAt is when the newest read began; zero after a read that failed.
	readAt time.Time
	alive  map[string]bool
	// knownSince is since when every read succeeded, listedAt when each broker was last
	// listed, deadSince since when each was listed as not alive in every read.
	knownSince          time.Time
	listedAt, deadSince map[string]time.Time
}

// read returns what is known after a read that began at a time.
func (b brokers) read(alive map[string]bool, at time.Time) brokers {
	next := brokers{readAt: at, alive: alive, knownSince: b.knownSince, listedAt: map[string]time.Time{}, deadSince: map[string]time.Time{}}
	if b.readAt.IsZero() {
		next.knownSince = at
	}
	for id, listed := range b.listedAt {
		if at.Sub(listed) < time.Hour {
			next.listedAt[id] = listed
		}
	}
	for id, lives := range alive {
		next.listedAt[id] = at
		if since, dead := b.deadSince[id]; dead && !lives {
			next.deadSince[id] = since
		} else if !lives {
			next.deadSince[id] = at
		}
	}
	return next
}

// gone reports whether the broker of a claim is certainly no longer alive, as of a read
// after the claim was last seen to move. It is false for a claim without a broker's id.
func (b brokers) gone(claim string, movedAt time.Time) bool {
	id := staging.BrokerOf(claim)
	if id == "" || b.readAt.Before(movedAt.Add(brokersSettle)) {
		return false
	}
	if alive, listed := b.alive[id]; listed {
		return !alive && b.readAt.Sub(b.deadSince[id]) >= deadFor
	}
	since := b.knownSince
	for _, at := range []time.Time{b.listedAt[id], movedAt} {
		if at.After(since) {
			since = at
		}
	}
	return b.readAt.Sub(since) >= absentFor
}

// claim returns the claim that holds a session, as far as it is known.
func (e *entry) claim() string {
	if e.verdict == staging.VerdictAssigned && e.fate().Claim != "" {
		return e.fate().Claim
	}
	if e.claimRead {
		return e.s.Claim
	}
	return ""
}

// setBrokers takes over a read of the brokers, and decides claimed sessions again.
func (v *view) setBrokers(alive map[string]bool, at time.Time) {
	v.brokers = v.brokers.read(alive, at)
	for _, e := range v.sessions {
		if e.s.State == staging.Claimed && v.brokers.gone(e.claim(), e.touchedAt) {
			v.markDirty(e)
		}
	}
}

// watchBrokers reads the brokers regularly until ctx is done. After a read that failed
// none counts as gone.
func (s *Scaler) watchBrokers(ctx context.Context) {
	again := time.NewTicker(brokersPoll)
	defer again.Stop()
	for failed := false; ; {
		began := time.Now()
		read, cancel := context.WithTimeout(ctx, brokersPoll)
		alive, err := s.Brokers.Brokers(read)
		cancel()
		if err == nil {
			s.post(ctx, func(v *view) { v.setBrokers(alive, began) })
		} else {
			s.post(ctx, func(v *view) { v.brokers = brokers{} })
		}
		if err != nil && !failed && ctx.Err() == nil {
			s.Log.WithError(err).WithField(logfield.Source, "brokers").Warn("cannot read which brokers are alive, retrying; until then a dead broker's claims end with their leases")
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}
