package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	"github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker"
	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/internal/config"
	"github.com/greenroom/greenroom/internal/consulhealth"
	"github.com/greenroom/greenroom/internal/nomadfleet"
	"github.com/greenroom/greenroom/internal/redisstore"
	"github.com/greenroom/greenroom/internal/registry"
	"github.com/greenroom/greenroom/internal/staging"
)

// fromEnv is a variable of the environment, or otherwise.
func fromEnv(name, otherwise string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return otherwise
}

// agentFlags adds the flags that both agents share. Each can be given in the
// environment too, under the name that the servers' own tools use.
func agentFlags(cmd *cobra.Command, a *config.Agent, bind string) {
	f := cmd.Flags()
	f.StringVar(&a.Bind, "bind", fromEnv("GREENROOM_BIND", bind), "host:port to listen on (env GREENROOM_BIND)")
	f.StringVar(&a.NomadAddress, "nomad-address", fromEnv("NOMAD_ADDR", "http://127.0.0.1:4646"), "Nomad's HTTP API (env NOMAD_ADDR)")
	storeFlags(cmd, a)
	f.StringVar(&a.LogLevel, "log-level", fromEnv("GREENROOM_LOG_LEVEL", "info"), "trace, debug, info, warn or error (env GREENROOM_LOG_LEVEL)")
	f.StringVar(&a.LogFormat, "log-format", fromEnv("GREENROOM_LOG_FORMAT", "text"), "text or json (env GREENROOM_LOG_FORMAT)")
	a.NomadToken = config.Secret(os.Getenv("NOMAD_TOKEN"))
	a.MaxDesiredSessions = staging.DefaultLimits.MaxDesiredSessions
	boundedByDefault(a)
}

// storeFlags adds those of Consul and Redis.
func storeFlags(cmd *cobra.Command, a *config.Agent) {
	f := cmd.Flags()
	f.StringVar(&a.ConsulAddress, "consul-address", consulURL(fromEnv("CONSUL_HTTP_ADDR", "http://127.0.0.1:8500")), "Consul's HTTP API (env CONSUL_HTTP_ADDR)")
	f.StringVar(&a.RedisAddress, "redis-address", fromEnv("GREENROOM_REDIS_ADDR", "127.0.0.1:6379"), "Redis, host:port (env GREENROOM_REDIS_ADDR)")
	// Secrets come from the environment alone: a flag shows in every list of processes.
	a.ConsulToken = config.Secret(os.Getenv("CONSUL_HTTP_TOKEN"))
	a.RedisPassword = config.Secret(os.Getenv("GREENROOM_REDIS_PASSWORD"))
}

// boundedByDefault sets the bounds of what a broker does at once to their defaults.
func boundedByDefault(a *config.Agent) {
	a.MaxLaunches = httpapi.DefaultBounds.Launches
	a.MaxOnDemand, a.MaxHooks, a.MaxArmed = broker.DefaultBounds.OnDemand, broker.DefaultBounds.Hooks, broker.DefaultBounds.Armed
}

// consulURL gives Consul's address a scheme: CONSUL_HTTP_ADDR often has none.
func consulURL(addr string) string {
	if host, _, err := net.SplitHostPort(addr); err == nil && host != "" {
		return "http://" + addr
	}
	return addr
}

// adapters are the clients of the servers that an agent leans on.
type adapters struct {
	registry *registry.Registry
	health   *consulhealth.Health
	fleet    *nomadfleet.Fleet
	store    *redisstore.Store
	redis    *redis.Client
	client   *consulapi.Client
	consul   *http.Transport
}

// connect makes the clients. Nothing is dialled yet: an agent starts while its
// servers are still away, and says so in its readiness.
func connect(a config.Agent) (*adapters, error) {
	consulConfig := consulapi.DefaultConfig()
	consulConfig.Address = a.ConsulAddress
	consulConfig.Token = string(a.ConsulToken)
	// Each watch holds a connection, and claims need some beside those.
	consulConfig.Transport.MaxIdleConnsPerHost = 64
	consul, err := consulapi.NewClient(consulConfig)
	if err != nil {
		return nil, fmt.Errorf("consul client: %w", err)
	}
	fleet, err := nomadfleet.Open(nomadfleet.Settings{Address: a.NomadAddress, Token: string(a.NomadToken)}, nomadfleet.Options{})
	if err != nil {
		return nil, err
	}
	rdb := redis.NewClient(&redis.Options{
		Addr: a.RedisAddress, Password: string(a.RedisPassword),
		DialTimeout: 2 * time.Second, ReadTimeout: 3 * time.Second, WriteTimeout: 3 * time.Second,
		// A script's outcome is not known when its answer is lost, and running it
		// again is for its caller to decide.
		MaxRetries: -1,
	})
	return &adapters{
		registry: registry.New(consul, ""), health: consulhealth.New(consul), fleet: fleet,
		store: redisstore.New(rdb, redisstore.Options{}), redis: rdb, client: consul, consul: consulConfig.Transport,
	}, nil
}

// close lets go of the connections.
func (a *adapters) close() error {
	a.consul.CloseIdleConnections()
	return a.redis.Close()
}

// drainTimeout bounds how long requests under way may take once an agent is
// told to stop.
const drainTimeout = 10 * time.Second

// serve runs an HTTP server until ctx is done, then lets requests finish.
func serve(ctx context.Context, listener net.Listener, srv *http.Server) error {
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	err := srv.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close()
	}
	<-failed
	return err
}
