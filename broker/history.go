package broker

import (
	"context"
	"time"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// historyPause is how often it is noted how the pools stand.
const historyPause = 10 * time.Second

// KeepHistory notes how the pools stand until ctx is done. What is not noted, since Redis
// does not answer, is missing from the history and from nowhere else.
func (b *Broker) KeepHistory(ctx context.Context) {
	tick := time.NewTicker(historyPause)
	defer tick.Stop()
	for {
		if configs := listed(b.Registry.Resources().Configs); len(configs) > 0 {
			note, cancel := context.WithTimeout(ctx, storeTimeout)
			err := b.Store.NoteHistory(note, configs)
			cancel()
			if err != nil && ctx.Err() == nil {
				b.Log.WithError(err).Debug("cannot note in Redis how the pools stand")
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// History gives what has gone on in a pool, minute by minute, and the time by Redis's clock.
func (b *Broker) History(ctx context.Context, name string) (minutes []staging.Minute, now time.Time, err error) {
	if _, known := b.Registry.Resources().Configs[name]; !known {
		// The copy in memory may be a moment old.
		res, err := b.fresh(ctx)
		if err != nil {
			return nil, now, err
		}
		if _, err := one(res.Configs, "staging config", name); err != nil {
			return nil, now, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if minutes, now, err = b.Store.History(ctx, name); err != nil {
		return nil, now, refusal.NoRedis(err)
	}
	return minutes, now, nil
}
