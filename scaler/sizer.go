package scaler

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// DemandStore is what Redis counts of the demand of pools, and where brokers read what it asks
// for.
type DemandStore interface {
	// RecentDemand reads the claims, misses and new sessions of pools, of the current minute
	// and the two before, and the time by Redis's clock.
	RecentDemand(ctx context.Context, pools []string) (all map[string][]staging.Minute, now time.Time, err error)
	// SetDemandSizes stores what pools' demand asks for. Those of other pools stay.
	SetDemandSizes(ctx context.Context, sizes map[string]staging.DemandSize) error
	// SetForecasts stores what pools may expect of the coming hours.
	SetForecasts(ctx context.Context, forecasts map[string][]staging.Forecast) error
	// History reads a pool's recent history, and the time by Redis's clock.
	History(ctx context.Context, pool string) (minutes []staging.Minute, now time.Time, err error)
}

const (
	// sizePause is the time between two looks at the demand. A claimed session is replaced at
	// once; this is about how soon another number is wanted.
	sizePause = 2 * time.Second
	// learnedPerPass bounds how many pools learn their history, of eight weeks at most, in one
	// pass, so that others do not wait for long.
	learnedPerPass = 20
	// forecastPause is the time between two forecasts of a pool's coming hours, which cost some
	// hundred times as much as a decision.
	forecastPause = time.Minute
)

// sizer sizes, by their demand, the pools with sizing in the zones in which this scaler acts.
type sizer struct {
	*Scaler
	pools map[string]*demandPool
}

// sizePools sizes pools until ctx is done.
func (s *Scaler) sizePools(ctx context.Context) {
	z := sizer{Scaler: s, pools: map[string]*demandPool{}}
	again := time.NewTicker(sizePause)
	defer again.Stop()
	for failed := false; ; {
		err := z.pass(ctx)
		if err != nil && !failed && ctx.Err() == nil {
			s.Log.WithError(err).WithField(logfield.Source, "demand").Warn("cannot size pools by their demand, retrying; they keep their sizes")
		}
		failed = err != nil
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

// pass looks at the demand of all pools once.
func (z *sizer) pass(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	configs := z.poolsToSize(ctx)
	unlearned := z.learn(ctx, configs)
	var names []string
	for name := range z.pools {
		names = append(names, name)
	}
	if len(names) == 0 {
		return unlearned
	}
	recent, now, err := z.Demand.RecentDemand(ctx, names)
	if err != nil {
		return err
	}
	for name, d := range z.pools {
		d.observe(recent[name], now)
	}
	z.share(configs)
	// All of them, also those that are as before: a pool may be another by now that has the name
	// of one that was deleted.
	sizes, forecasts := make(map[string]staging.DemandSize, len(z.pools)), map[string][]staging.Forecast{}
	for name, d := range z.pools {
		sizes[name] = d.size
		if !now.Before(d.forecastAt.Add(forecastPause)) {
			forecasts[name], d.forecastAt = d.demand.Outlook(now, staging.ForecastStep, staging.ForecastSteps), now
		}
		if d.announce() {
			z.announce(ctx, configs[name].config, d.size)
		}
	}
	z.post(ctx, func(v *view) { v.setSizes(sizes) })
	return errors.Join(unlearned, z.Demand.SetDemandSizes(ctx, sizes), z.Demand.SetForecasts(ctx, forecasts))
}

// learn keeps a demandPool for each config, and drops the others. It returns what kept pools from
// being learned; they are tried again in the next pass.
func (z *sizer) learn(ctx context.Context, configs map[string]poolRoom) error {
	for name, d := range z.pools {
		if c, there := configs[name]; !there || *c.config.Sizing != d.settings {
			delete(z.pools, name)
		}
	}
	var failed error
	learned := 0
	for name, c := range configs {
		if z.pools[name] != nil || learned == learnedPerPass {
			continue
		}
		learned++
		d, err := z.learned(ctx, c.config)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		z.pools[name] = d
	}
	return failed
}

// learned returns a pool that has learned its history from Consul and Redis. What cannot be read
// of the one in Consul is no reason to do without sizing.
func (z *sizer) learned(ctx context.Context, c staging.Config) (*demandPool, error) {
	recent, now, err := z.Demand.History(ctx, c.Name)
	if err != nil {
		return nil, err
	}
	stored, err := z.Histories.StoredHistory(ctx, c.Name, now.Add(-staging.HistoryWindow))
	if err != nil {
		z.Log.WithError(err).WithField(logfield.Staging, c.Name).Warn("cannot read all of a pool's history; its demand is learned from the rest")
	}
	return newDemandPool(*c.Sizing, staging.MergeHistory(stored, recent), now)
}

// announce logs a pool's size and adds an event of it.
func (z *sizer) announce(ctx context.Context, c staging.Config, size staging.DemandSize) {
	reason := size.Reason
	if c.Sizing.Mode == staging.SizingRecommend {
		reason = "recommended: " + reason
	}
	z.Log.WithField(logfield.Staging, c.Name).WithField(logfield.Reason, reason).Info("pool is sized by its demand")
	if err := z.EventStore.Note(ctx, staging.Event{Type: staging.EventSized, Pool: c.Name, Zone: c.Zone, Image: c.Image, Reason: reason}); err != nil {
		z.Log.WithError(err).WithField(logfield.Staging, c.Name).Debug("could not add the event of a pool's new size")
	}
}

// poolRoom is a pool and how much of it its zone holds.
type poolRoom struct {
	config staging.Config
	// placed counts its sessions for which a node was found. full: the zone has no room for
	// another.
	placed int
	full   bool
}

// poolsToSize returns the pools with sizing of the zones in which this scaler acts, by name.
func (s *Scaler) poolsToSize(ctx context.Context) map[string]poolRoom {
	found := s.actingPools(ctx)
	maps.DeleteFunc(found, func(_ string, p poolRoom) bool { return p.config.Sizing == nil })
	return found
}

// actingPools returns the pools of the zones in which this scaler acts, by name; none when ctx is
// done.
func (s *Scaler) actingPools(ctx context.Context) map[string]poolRoom {
	found := make(chan map[string]poolRoom, 1)
	s.post(ctx, func(v *view) { found <- v.actingPools() })
	select {
	case all := <-found:
		return all
	case <-ctx.Done():
		return nil
	}
}

func (v *view) actingPools() map[string]poolRoom {
	all := map[string]poolRoom{}
	for name, p := range v.pools {
		if p.removed || p.unknown || !v.acts(p.config.Zone) {
			continue
		}
		room := poolRoom{config: p.config}
		for _, e := range p.members.entries {
			if e.refused != nil {
				room.full = true
			} else {
				room.placed++
			}
		}
		all[name] = room
	}
	return all
}

// setSizes takes over what pools' demand asks for. A pool is decided again if that is another
// number than before.
func (v *view) setSizes(sizes map[string]staging.DemandSize) {
	for name, size := range sizes {
		p := v.pools[name]
		if p == nil || p.config.Sizing == nil {
			continue
		}
		if p.size == nil || !p.size.AsksAlike(size) {
			v.dirtyPools[name] = true
		}
		p.size = &size
	}
}
