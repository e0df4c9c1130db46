// Package agent runs greenroom's agents, the broker and the scaler: it reads their
// configuration, connects the adapters, assembles broker or scaler from them, and serves
// until it is stopped. Nothing is dialled while assembling: an agent starts while its
// servers are still away, and reports that as not ready.
package agent

import (
	"fmt"
	"net/http"

	consulapi "github.com/hashicorp/consul/api"
	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/config"
	"github.com/greenroom/greenroom/internal/consulhealth"
	"github.com/greenroom/greenroom/internal/nomadfleet"
	"github.com/greenroom/greenroom/internal/redisstore"
	"github.com/greenroom/greenroom/internal/registry"
)

// adapters are the clients of the servers that an agent needs.
type adapters struct {
	registry *registry.Registry
	health   *consulhealth.Health
	fleet    *nomadfleet.Fleet
	store    *redisstore.Store
	redis    *redis.Client
	// breaker refuses calls to a Redis that does not answer; nil where none is added.
	breaker *redisstore.Breaker
	client  *consulapi.Client
	consul  *http.Transport
}

// connect creates the adapters. It dials nothing: an agent starts while its servers are
// still unavailable, and is not ready until they answer.
func connect(a config.Agent) (*adapters, error) {
	consulConfig := ConsulSettings(a)
	// Each watch holds a connection, and claims need more of them.
	consulConfig.Transport.MaxIdleConnsPerHost = 64
	consul, err := consulapi.NewClient(consulConfig)
	if err != nil {
		return nil, fmt.Errorf("consul client: %w", err)
	}
	fleet, err := nomadfleet.Open(nomadfleet.Settings{
		Address: a.NomadAddress, Token: string(a.NomadToken), TLS: nomadTLS(a.NomadTLS),
	}, nomadfleet.Options{})
	if err != nil {
		return nil, err
	}
	redisOptions, err := RedisSettings(a)
	if err != nil {
		return nil, err
	}
	rdb := redis.NewClient(redisOptions)
	return &adapters{
		registry: registry.New(consul, ""), health: consulhealth.New(consul), fleet: fleet,
		store: redisstore.New(rdb, redisstore.Options{}), redis: rdb, client: consul, consul: consulConfig.Transport,
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
