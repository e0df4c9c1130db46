package main

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"strings"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/redis/go-redis/v9"
	"github.com/sirupsen/logrus"
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

// agentDefaults is the configuration of an agent that nothing else was said of.
func agentDefaults(kind config.Kind) config.Agent {
	a := config.Agent{
		Bind: "127.0.0.1:7480", NomadAddress: "http://127.0.0.1:4646", ConsulAddress: "http://127.0.0.1:8500", RedisAddress: "127.0.0.1:6379",
		LogLevel: "info", LogFormat: "text", ClaimFence: config.FenceConsul, MaxDesiredSessions: staging.DefaultLimits.MaxDesiredSessions,
	}
	if kind == config.Broker {
		a.Access.UserClaim = "sub"
	}
	if kind == config.Scaler {
		a.Bind = "127.0.0.1:7481"
	}
	boundedByDefault(&a)
	return a
}

// settings adds the flags of a kind of program to a command's.
func settings(cmd *cobra.Command, kind config.Kind) *config.Loader {
	return config.Register(cmd.Flags(), kind, agentDefaults(kind))
}

// boundedByDefault sets the bounds of what a broker does at once to their defaults.
func boundedByDefault(a *config.Agent) {
	a.MaxLaunches = httpapi.DefaultBounds.Launches
	a.MaxOnDemand, a.MaxHooks, a.MaxArmed = broker.DefaultBounds.Launch.OnDemand, broker.DefaultBounds.Launch.Hooks, broker.DefaultBounds.Armed
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
	consulConfig := consulSettings(a)
	// Each watch holds a connection, and claims need some beside those.
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
	redisOptions, err := redisSettings(a)
	if err != nil {
		return nil, err
	}
	rdb := redis.NewClient(redisOptions)
	return &adapters{
		registry: registry.New(consul, ""), health: consulhealth.New(consul), fleet: fleet,
		store: redisstore.New(rdb, redisstore.Options{}), redis: rdb, client: consul, consul: consulConfig.Transport,
	}, nil
}

// consulSettings say how Consul is spoken to. What only its own tools' environment
// can say, such as CONSUL_NAMESPACE, holds as well.
func consulSettings(a config.Agent) *consulapi.Config {
	c := consulapi.DefaultConfig()
	c.Address, c.Token, c.TokenFile = a.ConsulAddress, string(a.ConsulToken), ""
	t := a.ConsulTLS
	c.TLSConfig = consulapi.TLSConfig{
		Address: t.ServerName, CAFile: t.CAFile, CAPath: t.CAPath, CertFile: t.CertFile, KeyFile: t.KeyFile, InsecureSkipVerify: t.SkipVerify,
	}
	return c
}

// nomadTLS says the same of Nomad.
func nomadTLS(t config.TLS) *nomadapi.TLSConfig {
	return &nomadapi.TLSConfig{
		CACert: t.CAFile, CAPath: t.CAPath, ClientCert: t.CertFile, ClientKey: t.KeyFile, TLSServerName: t.ServerName, Insecure: t.SkipVerify,
	}
}

// redisSettings say it of Redis.
func redisSettings(a config.Agent) (*redis.Options, error) {
	o := &redis.Options{
		Addr: a.RedisAddress, Username: a.RedisUser, Password: string(a.RedisPassword),
		DialTimeout: 2 * time.Second, ReadTimeout: 3 * time.Second, WriteTimeout: 3 * time.Second,
		// A script's outcome is not known when its answer is lost, and running it
		// again is for its caller to decide.
		MaxRetries: -1,
	}
	if a.RedisUseTLS {
		t, err := a.RedisTLS.Client()
		if err != nil {
			return nil, fmt.Errorf("redis client's TLS: %w", err)
		}
		o.TLSConfig = t
	}
	return o, nil
}

// close lets go of the connections.
func (a *adapters) close() error {
	a.consul.CloseIdleConnections()
	return a.redis.Close()
}

// drainTimeout bounds how long requests under way may take once an agent is
// told to stop.
const drainTimeout = 10 * time.Second

// serve runs an HTTP server until ctx is done, then lets requests finish. It is https
// where the server has settings of TLS.
func serve(ctx context.Context, listener net.Listener, srv *http.Server) error {
	failed := make(chan error, 1)
	go func() {
		if srv.TLSConfig != nil {
			failed <- srv.ServeTLS(listener, "", "")
			return
		}
		failed <- srv.Serve(listener)
	}()
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

// serverLog is the log of an HTTP server, such as of handshakes that failed, as lines
// of the agent's log in its format.
func serverLog(log *logrus.Entry) *stdlog.Logger { return stdlog.New(lines{log}, "", 0) }

// lines takes what is written as lines of a log.
type lines struct{ log *logrus.Entry }

// Write implements io.Writer.
func (l lines) Write(p []byte) (int, error) {
	l.log.Info(strings.TrimSpace(string(p)))
	return len(p), nil
}
