package agent

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"sync"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker"
	"github.com/greenroom/greenroom/broker/admin"
	"github.com/greenroom/greenroom/broker/armed"
	"github.com/greenroom/greenroom/broker/gateway"
	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/kasmapi"
	"github.com/greenroom/greenroom/broker/launch"
	"github.com/greenroom/greenroom/broker/peers"
	"github.com/greenroom/greenroom/broker/sessions"
	"github.com/greenroom/greenroom/broker/status"
	"github.com/greenroom/greenroom/broker/web"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/buildinfo"
	"github.com/greenroom/greenroom/internal/config"
	"github.com/greenroom/greenroom/internal/hook"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/quota"
	"github.com/greenroom/greenroom/internal/redisstore"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/internal/webhook"
)

// NewBrokerCommand returns greenroom broker.
func NewBrokerCommand() *cobra.Command {
	var load *config.Loader
	cmd := &cobra.Command{
		Use:   "broker",
		Short: "Serve the API that hands sessions to users",
		Long: `Serve the API that hands sessions to users.

A broker holds no state of its own: run as many as you like behind any load
balancer. It is ready (GET /v1/health/ready) while Nomad, Consul and Redis answer.

Everything can be said in HCL files (--config), in the environment and with flags:
a flag counts before a variable, and that before a file. greenroom config check
looks at files. Tokens and passwords come from the environment: NOMAD_TOKEN,
CONSUL_HTTP_TOKEN, GREENROOM_REDIS_PASSWORD, and GREENROOM_TOKEN, an
administrator's token; or from files that are named.

Callers must show a token where --access is given, or GREENROOM_TOKEN or
--oidc-issuer: one that greenroom token create made, GREENROOM_TOKEN itself, or a
JWT of the issuer. Without any of the three the API may be bound to loopback only.

A configuration file:

  log_format = "json"

  broker {
    bind = "0.0.0.0:7480"
    access {
      enforced = true
      oidc {
        issuer       = "https://login.example.org"
        audience     = "greenroom"
        groups_claim = "groups"
        role_claim   = "roles"
        roles        = { ops = "admin" }
      }
    }
    tls {
      cert_file = "/etc/greenroom/broker.pem"
      key_file  = "/etc/greenroom/broker.key"
    }
    peer "west" {
      address    = "https://greenroom.west.example.org"
      token_file = "/etc/greenroom/west.token"
    }
  }

  nomad {
    address = "https://nomad.example.org:4646"
    tls {
      ca_file = "/etc/greenroom/ca.pem"
    }
  }

  consul {
    prefix     = "greenroom"
    address    = "http://127.0.0.1:8500"
    token_file = "/etc/greenroom/consul.token"
  }

  redis {
    address       = "redis.example.org:6379"
    user          = "greenroom"
    password_file = "/etc/greenroom/redis.password"
    tls {
      enabled = true
    }
  }

  scaler {
    bind = "0.0.0.0:7481"
  }`,
		Example: `  greenroom broker
  greenroom broker --config /etc/greenroom/
  greenroom broker --access --bind 0.0.0.0:7480 --redis-address redis.service.consul:6379
  greenroom broker --oidc-issuer https://login.example.org --oidc-audience greenroom \
    --oidc-groups-claim groups --oidc-role-claim roles --oidc-role ops=admin`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd, load, RunBroker)
		},
	}
	load = Flags(cmd, config.Broker)
	return cmd
}

// brokerGC lets the heap grow to five times the live data before a collection. A broker
// holds some 20 MB, and each request leaves garbage: with Go's default, collecting it took
// a tenth of the broker's time.
const brokerGC = 400

// RunBroker serves on listener until ctx is done. Then it stops taking requests, drains
// those in flight, and closes its clients. An error in the configuration is an
// exit.UsageError.
func RunBroker(ctx context.Context, a config.Agent, listener net.Listener, log *logrus.Entry) error {
	defer listener.Close()
	if err := a.Guarded(); err != nil {
		return exit.BadUsage(err)
	}
	var certificate *config.Certificate
	if a.TLSCert != "" {
		var err error
		if certificate, err = config.LoadCertificate(a.TLSCert, a.TLSKey); err != nil {
			return exit.BadUsage(err)
		}
	}
	tracer, stopTracing, err := openTracing(a, log)
	if err != nil {
		return err
	}
	defer stopTracing()
	parts, err := connect(a)
	if err != nil {
		return err
	}
	defer parts.close()
	parts.addBreaker()
	if err := parts.identity.identify(ctx, log); err != nil {
		return err
	}
	if err := parts.refuseOpenConsul(ctx, a, log); err != nil {
		return err
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(brokerGC)
	}
	metrics, err := newMetrics(a)
	if err != nil {
		return exit.BadUsage(err)
	}
	meter := newBrokerMeter(metrics)
	runner := hook.Runner{Exec: parts.fleet}
	armory := &hook.Armory{Runner: runner}
	defer armory.Close()
	meter.shells(armory.Count)
	receivers := &webhook.Client{}
	defer receivers.Close()
	presence := parts.registry.NewPresence(parts.client, staging.NewClaimID(), listener.Addr().String())
	presence.Show(buildinfo.Read().Version)
	others, err := openPeers(a, metrics, log)
	if err != nil {
		return err
	}
	b := broker.New(broker.Parts{
		Launch: launch.Servers{
			Resources: parts.registry, Locks: parts.registry, Fates: parts.registry, Store: parts.store, Keys: parts.store, Profiles: parts.registry, Quota: quota.New(parts.registry, parts.fleet), Fleet: parts.fleet, Health: parts.health,
			Hooks: hooks{runner: runner, armory: armory, ran: meter.hook}, Shells: armory, Meter: meter,
			Crossings: parts.registry, Peers: launchPeers(others),
		},
		Sessions: sessions.Servers{Store: parts.store, Registry: parts.registry, Fleet: parts.fleet, Health: parts.health, Commands: commands{runner}, Meter: meter},
		Events:   parts.store,
		Audit:    parts.store,
		Admin: admin.Servers{
			Registry: parts.registry, Tokens: parts.registry, Secrets: parts.registry, UserLocks: parts.registry, Fleet: parts.fleet, Orders: parts.registry, Notes: parts.store,
			Installation: parts.registry, Foreign: parts.store, Names: parts.names,
			Webhooks: parts.store, Receivers: receivers,
		},
		Status: status.Servers{Store: parts.store, Histories: parts.store, Registry: parts.registry, Fleet: parts.fleet, Peers: peerStates(others)},
		Armed:  armed.Servers{Store: parts.store, Registry: parts.registry, Shells: armory},
		Log:    log,
	}, broker.Options{
		Limits:             staging.Limits{MaxDesiredSessions: a.MaxDesiredSessions},
		Bounds:             broker.Bounds{Launch: launch.Bounds{OnDemand: a.MaxOnDemand, OnDemandQueue: a.MaxOnDemandQueue, Hooks: a.MaxHooks}, Armed: a.MaxArmed},
		Unfenced:           a.ClaimFence == config.FenceNone,
		ID:                 presence.ID,
		AuditRequired:      a.AuditRequired,
		MaxTokenLife:       a.MaxTokenLife,
		MaxSessionsPerUser: a.MaxSessionsPerUser,
	})
	defer b.Close()
	edge, err := edgeOf(b, a, parts)
	if err != nil {
		return err
	}
	if others != nil {
		edge.Peers = peers.Forwarder{Peers: others, Records: parts.registry}
	}
	meter.queue(b.Launcher.OnDemandQueued)
	meter.dependencies(b.Status.Dependencies)

	// What the broker caches is followed until the last request has been answered, which is
	// after ctx ends.
	ctx, refuse := context.WithCancelCause(ctx)
	defer refuse(nil)
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { probeRedis(watching, parts, log) })
	wg.Go(func() {
		presence.Run(watching, func(err error) {
			log.WithError(err).Warn("cannot show in Consul that this broker is alive, retrying; should it die, its claims end with their leases")
		})
	})
	wg.Go(func() { followResources(watching, parts, log) })
	parts.store.NoteRestored(redisstore.RestoreUnknown)
	wg.Go(func() { followRestores(watching, parts, parts.store.NoteRestored, log) })
	wg.Go(func() {
		if err := parts.identity.keep(watching, log); err != nil {
			refuse(err)
		}
	})
	if a.Guards() {
		wg.Go(func() { followTokens(watching, parts, log) })
	}
	wg.Go(func() { followKeys(watching, parts.registry.WatchKeys, log) })
	wg.Go(func() { followUserLocks(watching, parts, log) })
	wg.Go(func() { b.KeepEnding(watching) })
	wg.Go(func() { b.Follow(watching) })
	wg.Go(func() { b.KeepHistory(watching) })
	wg.Go(func() { b.ReceiveKeepalives(watching) })
	wg.Go(func() { b.KeepMissed(watching) })
	wg.Go(func() { b.RecordUses(watching) })
	if others != nil {
		wg.Go(func() { others.Run(watching) })
		wg.Go(func() { others.KeepRecords(watching, parts.registry) })
	}
	if a.MaxArmed > 0 {
		wg.Go(func() { b.KeepArmed(watching, listener.Addr().String()+"-"+staging.NewClaimID()) })
	}

	if a.Gateway.Run {
		beside, err := net.Listen("tcp", a.Gateway.Bind)
		if err != nil {
			return fmt.Errorf("the gateway cannot listen: %w", err)
		}
		serving, stop := context.WithCancel(ctx)
		defer stop()
		wg.Go(func() { b.Sessions.ReceiveUses(serving) })
		wg.Go(func() {
			if err := serveGateway(serving, a, beside, gateway.Parts{Sessions: b.Sessions, Registry: parts.registry, Codes: parts.store, Events: b.Events, Log: log}, metrics); err != nil {
				refuse(fmt.Errorf("%w: %w", errGateway, err))
			}
		})
	}
	if a.ClaimFence == config.FenceNone {
		log.Warn("the claim fence is off: Redis alone decides who gets a session, and a Redis that loses its newest writes can assign one session to two users")
	}
	if !a.Guards() {
		log.Warn("no token is required: everybody on this machine may use the API, which is bound to loopback only; see --access")
	}
	log.WithField(logfield.Address, listener.Addr().String()).Info("broker serves")
	srv := httpapi.NewServer(listener.Addr().String(), httpapi.New(edge, httpapi.Options{
		Guard: guardOf(a, parts), Page: web.RoutesAt(a.ExternalURL), Missing: web.Missing, Log: log, Registry: metrics, Tracer: tracer, Bounds: httpapi.Bounds{Launches: a.MaxLaunches}, UserRate: a.UserRate,
		Proxies: a.TrustedProxies, External: a.External(),
		Translated: kasmapi.New,
		Ending:     ctx,
		// Not ready comes before connections are refused, so that a load balancer can react.
		Draining: func() bool { return ctx.Err() != nil },
	}), httpapi.DefaultConnections, a.TrustedProxies)
	srv.ErrorLog = serverLog(log)
	if certificate != nil {
		certificateExpiry(metrics, certificateAPI, certificate.Expires)
		srv.TLSConfig = certificate.Server()
		wg.Go(func() { followCertificate(watching, certificate, log) })
	}
	return foreignCause(ctx, serve(ctx, listener, srv, func() {
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.DrainTimeout)
		defer cancel()
		log.Info("broker stops: new launches are refused, and those that have claimed a session are finished")
		if err := b.Drain(drain); err != nil {
			log.WithError(err).Error("launches that have claimed a session are not finished within " + a.DrainTimeout.String() + " (drain_timeout); a scaler ends their sessions")
		}
	}))
}

// edgeOf joins the broker's rooms to the HTTP edge.
func edgeOf(b *broker.Broker, a config.Agent, parts *adapters) (httpapi.Broker, error) {
	edge := httpapi.Broker{
		Launcher: b.Launcher, Sessions: b.Sessions, Events: b.Events,
		Zones: b.Admin.Zones, Images: b.Admin.Images, Groups: b.Admin.Groups, Pools: b.Admin.Pools,
		Checker: b.Admin, Tokens: b.Admin.Tokens, Secrets: b.Admin.Secrets, Webhooks: b.Admin.Webhooks, UserLocks: b.Admin.UserLocks, Pauses: b.Admin.Pauses, Installation: b.Admin.Installation, Auditor: b.Audit, Monitor: b.Status,
	}
	at, err := linksTo(a)
	if err != nil || at == nil {
		return edge, err
	}
	edge.Links = gateway.Links{Site: *at, Registry: parts.registry}
	return edge, nil
}

// linksTo returns the gateway to which the broker makes links; nil for none.
func linksTo(a config.Agent) (*gateway.Site, error) {
	if !a.Gateway.Known() && !a.Gateway.Run {
		return nil, nil
	}
	at, err := net.ResolveTCPAddr("tcp", a.Gateway.Bind)
	if err != nil {
		return nil, exit.BadUsage(fmt.Errorf("--gateway-bind: %w", err))
	}
	site, err := gatewaySite(a, at)
	return &site, err
}
