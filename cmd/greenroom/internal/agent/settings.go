package agent

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/redis/go-redis/v9"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker"
	"github.com/greenroom/greenroom/broker/gateway"
	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/buildinfo"
	"github.com/greenroom/greenroom/internal/config"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/redisstore"
	"github.com/greenroom/greenroom/internal/staging"
)

// Defaults returns the configuration of an agent without files, variables and flags.
func Defaults(kind config.Kind) config.Agent {
	a := config.Agent{
		Bind: "127.0.0.1:7480", NomadAddress: "http://127.0.0.1:4646", ConsulAddress: "http://127.0.0.1:8500", RedisAddress: "127.0.0.1:6379",
		ConsulPrefix: staging.DefaultNames.Consul, RedisPrefix: staging.DefaultNames.Redis,
		LogLevel: "info", LogFormat: "text", ClaimFence: config.FenceConsul, MaxDesiredSessions: staging.DefaultLimits.MaxDesiredSessions,
	}
	if kind == config.Broker {
		a.Access.UserClaim = "sub"
		a.Tracing.SampleRatio = 1
	}
	if kind == config.Scaler {
		a.Bind = "127.0.0.1:7481"
	}
	a.Gateway.Bind = "127.0.0.1:7482"
	a.Gateway.MaxOpen, a.Gateway.MaxOpenPerSession = gateway.DefaultOptions.MaxOpen, gateway.DefaultOptions.MaxOpenPerSession
	if kind == config.Gateway {
		a.Bind = a.Gateway.Bind
	}
	a.MaxLaunches = httpapi.DefaultBounds.Launches
	a.DrainTimeout = staging.ClaimLease
	a.MaxOnDemandQueue = broker.DefaultBounds.Launch.OnDemandQueue
	a.MaxOnDemand, a.MaxHooks, a.MaxArmed = broker.DefaultBounds.Launch.OnDemand, broker.DefaultBounds.Launch.Hooks, broker.DefaultBounds.Armed
	// The largest launch fits into the limit.
	a.MaxSessionsPerUser, a.UserRate = staging.MaxCount, httpapi.DefaultUserRate
	return a
}

// Names returns the names that an agent's installation uses in Consul and Redis.
func Names(a config.Agent) staging.Names {
	return staging.Names{
		Consul: cmp.Or(a.ConsulPrefix, staging.DefaultNames.Consul), Redis: cmp.Or(a.RedisPrefix, staging.DefaultNames.Redis),
	}
}

// RedisKeys is the prefix of the installation's keys in Redis.
func RedisKeys(a config.Agent) string {
	keys := Names(a).Keys()
	if a.RedisCluster {
		return redisstore.ClusterPrefix(keys)
	}
	return keys
}

// Flags adds the flags of a kind of program to a command, and returns what loads the
// configuration once they are parsed.
func Flags(cmd *cobra.Command, kind config.Kind) *config.Loader {
	return config.Register(cmd.Flags(), kind, Defaults(kind))
}

// ConsulSettings returns the settings of a client of the configured Consul. Variables of
// Consul's own tools that have no setting here, such as CONSUL_NAMESPACE, count too. It
// returns an error where TLS files cannot be read.
func ConsulSettings(a config.Agent) (*consulapi.Config, error) {
	c := consulapi.DefaultConfig()
	c.Address, c.Token, c.TokenFile = a.ConsulAddress, string(a.ConsulToken), ""
	t := a.ConsulTLS
	c.TLSConfig = consulapi.TLSConfig{
		Address: t.ServerName, CAFile: t.CAFile, CAPath: t.CAPath, CertFile: t.CertFile, KeyFile: t.KeyFile, InsecureSkipVerify: t.SkipVerify,
	}
	client, err := consulapi.NewHttpClient(c.Transport, c.TLSConfig)
	if err != nil {
		return nil, fmt.Errorf("consul client: %w", err)
	}
	if a.ConsulTokenFile != "" {
		client.Transport = withTokenFile(client.Transport, a.ConsulTokenFile, string(a.ConsulToken))
	}
	c.HttpClient = client
	return c, nil
}

// NomadTLS returns the TLS settings of a client of Nomad.
func NomadTLS(t config.TLS) *nomadapi.TLSConfig {
	return &nomadapi.TLSConfig{
		CACert: t.CAFile, CAPath: t.CAPath, ClientCert: t.CertFile, ClientKey: t.KeyFile, TLSServerName: t.ServerName, Insecure: t.SkipVerify,
	}
}

// RedisSettings returns the options of a client of the configured Redis, for
// redisstore.NewClient. It returns an error where TLS files cannot be read.
func RedisSettings(a config.Agent) (*redis.UniversalOptions, error) {
	o := &redis.UniversalOptions{
		Addrs: a.RedisAddresses(), Username: a.RedisUser, Password: string(a.RedisPassword),
		MasterName: a.RedisSentinel.Master, SentinelUsername: a.RedisSentinel.User, SentinelPassword: string(a.RedisSentinel.Password),
		IsClusterMode: a.RedisCluster,
		DialTimeout:   2 * time.Second, ReadTimeout: 3 * time.Second, WriteTimeout: 3 * time.Second,
		// Otherwise a call to a Redis that hangs outlives its caller's deadline.
		ContextTimeoutEnabled: true,
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

// run loads the configuration of an agent's command, listens where it says, and serves with
// the agent's log until the command's context is done.
func run(cmd *cobra.Command, load *config.Loader, serve func(context.Context, config.Agent, net.Listener, *logrus.Entry) error) error {
	a, err := load.Load()
	if err != nil {
		return exit.BadUsage(err)
	}
	if load.Kind() == config.Gateway {
		a.Bind = a.Gateway.Bind
	}
	listener, err := net.Listen("tcp", a.Bind)
	if err != nil {
		return fmt.Errorf("%s cannot listen: %w", cmd.Name(), err)
	}
	log := a.Logger()
	log.SetOutput(cmd.ErrOrStderr())
	defer followLevel(cmd.Context(), load.Load, log)()
	entry := logrus.NewEntry(log)
	b := buildinfo.Read()
	entry.WithFields(logrus.Fields{logfield.Version: b.Version, logfield.Commit: b.Commit}).Info("greenroom starts")
	limitMemory(entry)
	return serve(cmd.Context(), a, listener, entry)
}
