package broker

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/greenroom/greenroom/internal/logfield"
)

// pingTimeout bounds one look at a server: a probe wants its answer soon.
const pingTimeout = 2 * time.Second

// asked is what the servers last said, and when.
type asked struct {
	mu  sync.Mutex
	at  time.Time
	all []Dependency
}

// askAgain is how old an answer may be that is given again: anybody may ask, as often
// as they like, and the servers are asked once a second at most.
const askAgain = time.Second

// Dependencies says of each server that the broker leans on whether it answers.
func (b *Broker) Dependencies(ctx context.Context) []Dependency {
	b.asked.mu.Lock()
	defer b.asked.mu.Unlock()
	if time.Since(b.asked.at) > askAgain {
		// Also for those who wait for the same answer, should this caller hang up.
		b.asked.all, b.asked.at = b.ask(context.WithoutCancel(ctx)), time.Now()
	}
	return slices.Clone(b.asked.all)
}

func (b *Broker) ask(ctx context.Context) []Dependency {
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
				b.Log.WithError(err).WithField(logfield.Server, p.name).Warn("server does not answer")
				all[i].Problem = "does not answer"
			}
		})
	}
	wg.Wait()
	return all
}
