package status

import (
	"context"
	"fmt"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/scaler/sizing"
)

// historyPause is the time between two notes of the pools' numbers.
const historyPause = 10 * time.Second

// KeepHistory notes the pools' numbers in Redis until ctx is done; scalers store them in Consul.
// A note that fails, since Redis does not answer, is missing from the history; nothing else
// depends on it.
func (m *Monitor) KeepHistory(ctx context.Context) {
	tick := time.NewTicker(historyPause)
	defer tick.Stop()
	for {
		if configs := byName(m.Registry.Resources().Configs); len(configs) > 0 {
			if err := m.noteHistory(ctx, configs); err != nil && ctx.Err() == nil {
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

func (m *Monitor) noteHistory(ctx context.Context, configs []staging.Config) error {
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	sizes, err := m.Histories.DemandSizes(ctx)
	if err != nil {
		return err
	}
	notes, now := make([]staging.PoolNote, len(configs)), time.Now()
	for i, c := range configs {
		notes[i] = staging.PoolNote{Config: c, Wanted: sizing.Wanted(c, sizes[c.Name], now).Sessions}
		if c.Sizing != nil {
			notes[i].Size = sizes[c.Name]
		}
	}
	return m.Histories.NoteHistory(ctx, notes)
}

// History returns what has gone on in a pool since a time, minute by minute, and the time by
// Redis's clock. What is older than staging.RecentHistory comes from Consul, where scalers store
// it. An error is a *refusal.Error.
func (m *Monitor) History(ctx context.Context, name string, since time.Time) (minutes []staging.Minute, now time.Time, err error) {
	if err := m.known(ctx, name); err != nil {
		return nil, now, err
	}
	recent, now, err := m.recentHistory(ctx, name)
	if err != nil {
		return nil, now, refusal.NoRedis(err)
	}
	if !since.Before(now.Add(-staging.RecentHistory)) {
		return staging.HistorySince(recent, since), now, nil
	}
	stored, err := m.storedHistory(ctx, name, since)
	if err != nil && len(stored) == 0 {
		return nil, now, refusal.NoConsul(err)
	}
	if err != nil {
		m.log.WithError(err).Warn("a part of a pool's history cannot be read and is left out")
	}
	return staging.MergeHistory(stored, staging.HistorySince(recent, since)), now, nil
}

// Forecast returns what a pool may expect of the coming hours, in steps of staging.ForecastStep;
// nothing for one without sizing, or that no scaler has lately sized. An error is a
// *refusal.Error.
func (m *Monitor) Forecast(ctx context.Context, name string) ([]staging.Forecast, error) {
	if err := m.known(ctx, name); err != nil {
		return nil, err
	}
	if m.Registry.Resources().Configs[name].Sizing == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	forecast, err := m.Histories.Forecast(ctx, name)
	if err != nil {
		return nil, refusal.NoRedis(err)
	}
	return forecast, nil
}

func (m *Monitor) recentHistory(ctx context.Context, name string) ([]staging.Minute, time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	return m.Histories.History(ctx, name)
}

func (m *Monitor) storedHistory(ctx context.Context, name string, since time.Time) ([]staging.Minute, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	return m.Registry.StoredHistory(ctx, name, since)
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
