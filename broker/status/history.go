package status

import (
	"context"
	"fmt"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// historyPause is the time between two notes of the pools' numbers.
const historyPause = 10 * time.Second

// KeepHistory notes the pools' numbers in Redis until ctx is done. A note that fails, since
// Redis does not answer, is missing from the history; nothing else depends on it.
func (m *Monitor) KeepHistory(ctx context.Context) {
	tick := time.NewTicker(historyPause)
	defer tick.Stop()
	for {
		if configs := byName(m.Registry.Resources().Configs); len(configs) > 0 {
			note, cancel := context.WithTimeout(ctx, deadline.Redis)
			err := m.Store.NoteHistory(note, configs)
			cancel()
			if err != nil && ctx.Err() == nil {
				m.log.WithError(err).Debug("cannot note the pools' numbers in Redis; their history has a gap")
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// History returns what has gone on in a pool, minute by minute, and the time by Redis's
// clock. An error is a *refusal.Error.
func (m *Monitor) History(ctx context.Context, name string) (minutes []staging.Minute, now time.Time, err error) {
	if err := m.known(ctx, name); err != nil {
		return nil, now, err
	}
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	if minutes, now, err = m.Store.History(ctx, name); err != nil {
		return nil, now, refusal.NoRedis(err)
	}
	return minutes, now, nil
}

// known refuses the name of no staging config.
func (m *Monitor) known(ctx context.Context, name string) error {
	if _, ok := m.Registry.Resources().Configs[name]; ok {
		return nil
	}
	// The copy in memory may be a moment old.
	ctx, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	now, err := m.Registry.Refresh(ctx)
	if err != nil {
		return refusal.NoConsul(err)
	}
	if _, ok := now.Configs[name]; !ok {
		return &refusal.Error{Kind: refusal.NotFound, Detail: fmt.Sprintf("there is no staging config %q", name)}
	}
	return nil
}
