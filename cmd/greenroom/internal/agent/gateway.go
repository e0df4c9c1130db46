package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/broker/audit"
	"github.com/greenroom/greenroom/broker/background"
	"github.com/greenroom/greenroom/broker/events"
	"github.com/greenroom/greenroom/broker/gateway"
	"github.com/greenroom/greenroom/broker/httpapi"
	"github.com/greenroom/greenroom/broker/sessions"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/buildinfo"
	"github.com/greenroom/greenroom/internal/config"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/registry"
	"github.com/greenroom/greenroom/internal/staging"
)

// NewGatewayCommand returns greenroom gateway.
func NewGatewayCommand() *cobra.Command {
	var load *config.Loader
	cmd := &cobra.Command{
		Use:   "gateway",
		Short: "Route users to their sessions: HTTP and WebSocket",
		Long: `Route users to their sessions: HTTP and WebSocket.

A launch's answer, and POST /v1/sessions/ID/link of a broker, have a link that opens
a session once, within a minute. The gateway exchanges it for a cookie of that
session, and passes on what this browser sends, until the session ends.

With --gateway-domain desk.example.org each session has a host name of its own,
SESSION.desk.example.org, and a port of it PORT--SESSION.desk.example.org. That
needs a wildcard in DNS and in the certificate. Without, sessions have paths,
such as https://desk.example.org/s/SESSION/: their pages share an origin then and
can reach each other, so that this is for sessions that trust one another.

On loopback, for a trial, neither is needed: browsers find it where it listens, such
as http://127.0.0.1:7482. Elsewhere it does not start without one of them.

Brokers make the links: give them the same --gateway-url and --gateway-domain, as
one configuration file does for all. Run as many gateways as you like; a broker
with --gateway runs one, too. By its IP address, a gateway serves /v1/health/live,
/v1/health/ready and /metrics. Nomad registers the gateways of its job in Consul, for
balancers; a gateway that is started by hand shows there only that it is alive.

Everything can be said in HCL files (--config), in the environment and with flags:
a flag counts before a variable, and that before a file.

A configuration file:

  gateway {
    bind   = "0.0.0.0:7482"
    domain = "desk.example.org"
    tls {
      cert_file = "/etc/greenroom/desk.pem"
      key_file  = "/etc/greenroom/desk.key"
    }
  }`,
		Example: `  greenroom gateway --gateway-url http://127.0.0.1:7482
  greenroom gateway --config /etc/greenroom/
  greenroom gateway --gateway-bind 0.0.0.0:7482 --gateway-domain desk.example.org`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd, load, RunGateway)
		},
	}
	load = Flags(cmd, config.Gateway)
	return cmd
}

// leavesStops is a fleet whose jobs the scaler stops, within seconds of their sessions' ends. So a
// gateway, which everybody reaches, needs no right to submit jobs, which stopping one takes.
type leavesStops struct{ sessions.Fleet }

// Stop implements sessions.Fleet.
func (leavesStops) Stop(context.Context, staging.Session) error { return nil }

// errGateway: the gateway beside a broker failed.
var errGateway = errors.New("the gateway failed")

// RunGateway serves on listener, which it closes, until ctx is done. An error in the
// configuration is an exit.UsageError.
func RunGateway(ctx context.Context, a config.Agent, listener net.Listener, log *logrus.Entry) error {
	parts, err := connect(a)
	if err != nil {
		listener.Close()
		return err
	}
	defer parts.close()
	parts.addBreaker()
	if err := parts.identity.identify(ctx, log); err != nil {
		listener.Close()
		return err
	}
	metrics, err := newMetrics(a)
	if err != nil {
		listener.Close()
		return exit.BadUsage(err)
	}
	ctx, refuse := context.WithCancelCause(ctx)
	defer refuse(nil)
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	work := background.New(gatewayBackground)
	defer work.Wait()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	presence := parts.registry.NewGatewayPresence(parts.client, staging.NewClaimID(), listener.Addr().String())
	presence.Show(buildinfo.Read().Version)
	feed := events.New(parts.store, log)
	known := sessions.New(
		sessions.Servers{Store: parts.store, Registry: parts.registry, Fleet: leavesStops{parts.fleet}, Health: parts.health},
		feed, audit.New(parts.store, work, log, false), log,
	)
	wg.Go(func() { probeRedis(watching, parts, log) })
	wg.Go(func() { showGateway(watching, presence, log) })
	wg.Go(func() { followResources(watching, parts, log) })
	wg.Go(func() {
		if err := parts.identity.keep(watching, log); err != nil {
			refuse(err)
		}
	})
	wg.Go(func() { followKeys(watching, parts.registry.WatchGatewayKeys, log) })
	wg.Go(func() { followUserLocks(watching, parts, log) })
	wg.Go(func() { feed.Run(watching) })
	wg.Go(func() { known.RecordUses(watching) })
	wg.Go(func() { known.KeepMissed(watching) })
	wg.Go(func() { known.ReceiveUses(watching) })
	return foreignCause(ctx, serveGateway(ctx, a, listener, gateway.Parts{
		Sessions: known, Registry: parts.registry, Codes: parts.store, Events: feed, Log: log,
	}, metrics))
}

// showGateway shows in Consul that the gateway is alive, until ctx is done. Only the status needs it,
// so it says once that it cannot: the policy of a gateway of an older version lacks the right.
func showGateway(ctx context.Context, p *registry.Presence, log *logrus.Entry) {
	level := logrus.WarnLevel
	p.Run(ctx, func(err error) {
		log.WithError(err).Log(level, "cannot show in Consul that this gateway is alive; the status lacks it")
		level = logrus.DebugLevel
	})
}

// gatewayBackground bounds the tasks of a gateway that no answer waits for.
const gatewayBackground = 256

// gatewaySite returns where browsers find the gateway. If nothing is configured, that is the
// address of the listener, which must be on loopback.
func gatewaySite(a config.Agent, listener net.Addr) (gateway.Site, error) {
	address := a.Gateway.URL
	if !a.Gateway.Known() {
		if at, ok := listener.(*net.TCPAddr); !ok || !at.IP.IsLoopback() {
			return gateway.Site{}, exit.BadUsage(errors.New("--gateway-url or --gateway-domain must say how browsers reach a gateway that does not listen on loopback"))
		}
		address = "http://" + listener.String()
	}
	site, err := gateway.NewSite(address, a.Gateway.Domain)
	if err != nil {
		return site, exit.BadUsage(fmt.Errorf("--gateway-url: %w", err))
	}
	return site, nil
}

// serveGateway serves a gateway on listener, which it closes, until ctx is done.
func serveGateway(ctx context.Context, a config.Agent, listener net.Listener, p gateway.Parts, metrics *prometheus.Registry) error {
	defer listener.Close()
	site, err := gatewaySite(a, listener.Addr())
	if err != nil {
		return err
	}
	var certificate *config.Certificate
	if a.Gateway.TLSCert != "" {
		if certificate, err = config.LoadCertificate(a.Gateway.TLSCert, a.Gateway.TLSKey); err != nil {
			return exit.BadUsage(err)
		}
	}
	p.Meter = newGatewayMeter(metrics)
	proxies := httpapi.Proxies(a.TrustedProxies)
	g := gateway.New(p, gateway.Options{
		Site: site, AllowedOrigins: a.Gateway.AllowedOrigins, Portal: a.ExternalURL,
		MaxOpen: a.Gateway.MaxOpen, MaxOpenPerSession: a.Gateway.MaxOpenPerSession, Remote: proxies.Remote,
		Operators: gatewayOperators(ctx, p.Registry, metrics),
	})
	srv := httpapi.NewServer(listener.Addr().String(), g, httpapi.DefaultConnections, proxies)
	// Bodies and sockets take as long as they take: the gateway bounds how long a client stalls.
	srv.ReadTimeout, srv.WriteTimeout = 0, 0
	srv.ErrorLog = serverLog(p.Log)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { g.Run(running) })
	if certificate != nil {
		certificateExpiry(metrics, certificateGateway, certificate.Expires)
		srv.TLSConfig = certificate.Server()
		wg.Go(func() { followCertificate(running, certificate, p.Log) })
	}
	p.Log.WithField(logfield.Address, listener.Addr().String()).Info("gateway serves")
	return serve(ctx, listener, srv, func() {})
}

// readyTimeout bounds how long a gateway looks for its keys to say whether it is ready.
const readyTimeout = 3 * time.Second

// gatewayOperators serves health checks and metrics. A gateway is ready once it has the keys by
// which it knows users, and until it stops: what it knows does not need the servers.
func gatewayOperators(ctx context.Context, keys gateway.Registry, metrics *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /v1/health/live", func(w http.ResponseWriter, _ *http.Request) { health(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /v1/health/ready", func(w http.ResponseWriter, r *http.Request) {
		look, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		switch _, err := keys.Keys(look, staging.GatewaySecret); {
		case ctx.Err() != nil:
			health(w, http.StatusServiceUnavailable, "stopping")
		case err != nil:
			health(w, http.StatusServiceUnavailable, "the keys of links cannot be read from Consul; see the log")
		default:
			health(w, http.StatusOK, "ok")
		}
	})
	return mux
}
