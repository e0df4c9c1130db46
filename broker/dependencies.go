package broker

import (
	"context"
	"sync"
	"time"
)

// pingTimeout bounds one look at a server: a probe wants its answer soon.
const pingTimeout = 2 * time.Second

// Dependencies asks each server that the broker leans on whether it answers.
func (b *Broker) Dependencies(ctx context.Context) []Dependency {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	pings := []struct {
		name string
		ping func(context.Context) error
	}{{"consul", b.Registry.Ping}, {"nomad", b.Fleet.Ping}, {"redis", b.Store.Ping}}
	all := make([]Dependency, len(pings))
	var wg sync.WaitGroup
	for i, p := range pings {
		all[i].Name = p.name
		wg.Go(func() {
			if err := p.ping(ctx); err != nil {
				b.Log.WithError(err).WithField("server", p.name).Warn("server does not answer")
				all[i].Problem = "does not answer"
			}
		})
	}
	wg.Wait()
	return all
}
