package status

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/greenroom/greenroom/internal/logfield"
)

// The names of the dependencies.
const (
	Consul = "consul"
	Nomad  = "nomad"
	Redis  = "redis"
)

// Dependency is one server that the broker needs, and its state.
type Dependency struct {
	// Name is Consul, Nomad or Redis.
	Name string
	// Problem is "" when it answers.
	Problem string
}

// pingTimeout bounds one ping of a server: a readiness probe wants its answer soon.
const pingTimeout = 2 * time.Second

// Dependencies reports of each server that the broker needs whether it answers. The answer
// is at most a second old.
func (m *Monitor) Dependencies(ctx context.Context) []Dependency {
	return slices.Clone(m.dependencies.get(ctx, m.ping))
}

func (m *Monitor) ping(ctx context.Context) []Dependency {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	pings := []struct {
		name string
		ping func(context.Context) error
	}{{Consul, m.Registry.Ping}, {Nomad, m.Fleet.Ping}, {Redis, m.Store.Ping}}
	all := make([]Dependency, len(pings))
	var wg sync.WaitGroup
	for i, p := range pings {
		all[i].Name = p.name
		wg.Go(func() {
			if err := p.ping(ctx); err != nil {
				m.log.WithError(err).WithField(logfield.Server, p.name).Warn("server does not answer")
				all[i].Problem = problemOf(err)
			}
		})
	}
	wg.Wait()
	return all
}

// refuser is the error of a server that answers, and refuses what it is asked, with its own words.
type refuser interface{ Refused() string }

// problemOf says what is wrong with a server whose ping failed.
func problemOf(err error) string {
	var refused refuser
	if errors.As(err, &refused) {
		return "refuses calls: " + refused.Refused()
	}
	return "does not answer"
}
