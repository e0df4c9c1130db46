package scaler

import (
	"context"
	"errors"
	"time"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// Histories are the pools' histories in Consul.
type Histories interface {
	// StoredHistory reads a pool's history since a time. Beside an error it returns what could
	// be read.
	StoredHistory(ctx context.Context, pool string, since time.Time) ([]staging.Minute, error)
	// AddHistory stores minutes of a pool's history.
	AddHistory(ctx context.Context, pool string, minutes []staging.Minute) error
	// PurgeHistory deletes the history of days before a time, of all pools.
	PurgeHistory(ctx context.Context, before time.Time) (days int, err error)
}

const (
	// historyPause is the time between two writes of a pool's history while something goes on
	// in the pool: so much of it is lost with Redis. quietHistoryPause is the same while
	// nothing does.
	historyPause      = 5 * time.Minute
	quietHistoryPause = time.Hour
	// historyLook is how often it is looked whether a history is to be written.
	historyLook = time.Minute
)

// keepHistories copies the pools' histories from Redis, where brokers note them, to Consul, until
// ctx is done.
func (s *Scaler) keepHistories(ctx context.Context) {
	again := time.NewTicker(historyLook)
	defer again.Stop()
	// until is up to when the history of a pool is stored.
	until, purged := map[string]time.Time{}, time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
		err := s.storeHistories(ctx, until)
		if len(until) > 0 && time.Since(purged) > quietHistoryPause {
			err, purged = errors.Join(err, s.purgeHistories(ctx)), time.Now()
		}
		if err != nil && ctx.Err() == nil {
			s.Log.WithError(err).WithField(logfield.Source, "history").Warn("cannot store the pools' history in Consul, retrying; Redis has the last hours")
		}
	}
}

// storeHistories stores, of the pools in the zones in which this scaler acts, what is new in
// their histories. What fails concerns its pool alone.
func (s *Scaler) storeHistories(ctx context.Context, until map[string]time.Time) error {
	configs := s.actingPools(ctx)
	var failed error
	begun := time.Now()
	for name := range until {
		if _, there := configs[name]; !there {
			delete(until, name)
		}
	}
	for name := range configs {
		if begun.Sub(until[name]) < historyPause {
			continue
		}
		stored, err := s.storeHistory(ctx, name, until[name])
		failed = errors.Join(failed, err)
		if err == nil {
			until[name] = stored
		}
	}
	return failed
}

// storeHistory stores what is new in a pool's history since a time, and returns up to when it is
// stored now.
func (s *Scaler) storeHistory(ctx context.Context, pool string, since time.Time) (until time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	minutes, now, err := s.Demand.History(ctx, pool)
	if err != nil {
		return since, err
	}
	fresh := freshHistory(minutes, since, now)
	if len(fresh) == 0 {
		return since, nil
	}
	return fresh[len(fresh)-1].At.Add(time.Minute), s.Histories.AddHistory(ctx, pool, fresh)
}

// freshHistory returns the minutes to store: those since a time that are over, if it is time for
// that. A minute is over when its counters have been noted for the last time, which is during the
// next one.
func freshHistory(minutes []staging.Minute, since, now time.Time) []staging.Minute {
	fresh := staging.HistorySince(minutes, since)
	for len(fresh) > 0 && fresh[len(fresh)-1].At.Add(2*time.Minute).After(now) {
		fresh = fresh[:len(fresh)-1]
	}
	if since.IsZero() || now.Sub(since) >= quietHistoryPause {
		return fresh
	}
	for _, m := range fresh {
		if m.Launches() > 0 || m.Made > 0 {
			return fresh
		}
	}
	return nil
}

func (s *Scaler) purgeHistories(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	days, err := s.Histories.PurgeHistory(ctx, time.Now().Add(-staging.HistoryWindow))
	if days > 0 {
		s.Log.Infof("deleted %d days of pools' histories, which were older than eight weeks", days)
	}
	return err
}
