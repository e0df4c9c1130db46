// Package agent runs greenroom's agents, the broker and the scaler: it reads their
// configuration, connects the adapters, assembles broker or scaler from them, and serves
// until it is stopped. Nothing is dialled while assembling: an agent starts while its
// servers are still away, and reports that as not ready.
package agent

import (
	"errors"
	"fmt"
	"net/http"

	consulapi "github.com/hashicorp/consul/api"
	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/config"
	"github.com/greenroom/greenroom/internal/consulhealth"
	"github.com/greenroom/greenroom/internal/nomadfleet"
	"github.com/greenroom/greenroom/internal/redisstore"
	"github.com/greenroom/greenroom/internal/registry"
	"github.com/greenroom/greenroom/internal/staging"
)

// adapters are the clients of the servers that an agent needs.
type adapters struct {
	registry *registry.Registry
	health   *consulhealth.Health
	fleet    *nomadfleet.Fleet
	store    *redisstore.Store
	redis    redis.UniversalClient
	// breaker refuses calls to a Redis that does not answer; nil where none is added.
	breaker  *redisstore.Breaker
	client   *consulapi.Client
	consul   *http.Transport
	names    staging.Names
	identity *identity
}

// connect creates the adapters. It dials nothing: an agent starts while its servers are
// still unavailable, and is not ready until they answer.
func connect(a config.Agent) (*adapters, error) {
	consulConfig, err := ConsulSettings(a)
	if err != nil {
		return nil, err
	}
	// Each watch holds a connection, and claims need more of them.
	consulConfig.Transport.MaxIdleConnsPerHost = 64
	if a.Tracing.URL != "" {
		traceConsul(consulConfig)
	}
	consul, err := consulapi.NewClient(consulConfig)
	if err != nil {
		return nil, fmt.Errorf("consul client: %w", err)
	}
	redisOptions, err := RedisSettings(a)
	if err != nil {
		return nil, err
	}
	rdb := redisstore.NewClient(redisOptions)
	names := Names(a)
	i := &identity{registry: registry.New(consul, names.KV()), store: redisstore.New(rdb, redisstore.Options{Prefix: RedisKeys(a)})}
	fleet, err := nomadfleet.Open(nomadfleet.Settings{
		Address: a.NomadAddress, Token: string(a.NomadToken), TLS: NomadTLS(a.NomadTLS),
	}, nomadfleet.Options{
		Installation: i.get, Names: names,
		SpreadProperties: func() []string { return i.registry.Resources().SpreadProperties() },
	})
	if err != nil {
		return nil, errors.Join(err, rdb.Close())
	}
	return &adapters{
		registry: i.registry, health: consulhealth.New(consul).For(names, i.get), fleet: fleet,
		store: i.store, redis: rdb, client: consul, consul: consulConfig.Transport, names: names, identity: i,
	}, nil
}

// addBreaker adds a breaker to the client of Redis. The caller runs it.
func (a *adapters) addBreaker() {
	a.breaker = redisstore.NewBreaker()
	a.redis.AddHook(a.breaker)
}

// close closes the connections to Consul and Redis.
func (a *adapters) close() error {
	a.consul.CloseIdleConnections()
	return a.redis.Close()
}
