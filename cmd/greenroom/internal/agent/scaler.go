package agent

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/buildinfo"
	"github.com/greenroom/greenroom/internal/config"
	"github.com/greenroom/greenroom/internal/hook"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/poolboard"
	"github.com/greenroom/greenroom/internal/quota"
	"github.com/greenroom/greenroom/internal/sessioncatalog"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/internal/webhook"
	"github.com/greenroom/greenroom/scaler"
	"github.com/greenroom/greenroom/scaler/webhooks"
)

// NewScalerCommand returns greenroom scaler.
func NewScalerCommand() *cobra.Command {
	var load *config.Loader
	cmd := &cobra.Command{
		Use:   "scaler",
		Short: "Keep every pool at its desired number of ready sessions",
		Long: `Keep every pool at its desired number of ready sessions.

Run as many as you like: they share the zones, one lock in Consul for each, and
take over from each other. A scaler listens for health checks and metrics only:
/v1/health/live, /v1/health/ready (ready while it knows Nomad, Consul and Redis
whole, and so acts) and /metrics.

Everything can be said in HCL files (--config), in the environment and with flags:
a flag counts before a variable, and that before a file. The files are the
broker's, too: greenroom broker --help shows one. Tokens and passwords come from the
environment: NOMAD_TOKEN, CONSUL_HTTP_TOKEN and GREENROOM_REDIS_PASSWORD; or from
files that are named.`,
		Example: `  greenroom scaler
  greenroom scaler --config /etc/greenroom/ --log-level debug
  greenroom scaler --bind 0.0.0.0:7481 --redis-address redis.service.consul:6379`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd, load, RunScaler)
		},
	}
	load = Flags(cmd, config.Scaler)
	return cmd
}

// RunScaler keeps the pools until ctx is done, and serves health checks and metrics on
// listener, which it closes. It releases the zones' locks after its last step.
func RunScaler(ctx context.Context, a config.Agent, listener net.Listener, log *logrus.Entry) error {
	parts, err := connect(a)
	if err != nil {
		listener.Close()
		return err
	}
	defer parts.close()
	if err := parts.identity.identify(ctx, log); err != nil {
		listener.Close()
		return err
	}
	metrics, err := newMetrics(a)
	if err != nil {
		listener.Close()
		return exit.BadUsage(err)
	}
	var s *scaler.Scaler
	catalog := sessioncatalog.New(parts.client, sessioncatalog.Names{
		Service: parts.names.Service(staging.SessionsService), Node: parts.names.Service(staging.SessionsService),
	})
	meter := newScalerMeter(metrics, func() bool { return s.InSync() }, catalog.Waiting)
	name := strings.ReplaceAll(listener.Addr().String(), ":", "-") + "-" + staging.NewClaimID()
	locks, board := parts.registry.NewLocks(parts.client, name), poolboard.New(parts.client, name).Named(parts.names)
	locks.Show(listener.Addr().String(), buildinfo.Read().Version)
	s = scaler.New(scaler.Parts{
		Registry: parts.registry, SessionStore: parts.store, AssignedStore: parts.store, RoomStore: parts.store, QueueStore: parts.store, QuarantineStore: parts.store, TrustStore: parts.store, EventStore: parts.store, Fleet: parts.fleet, Health: parts.health, Hooks: hooks{runner: hook.Runner{Exec: parts.fleet}}, Locks: locks,
		Meter: meter, Board: board, Catalog: catalog, Brokers: parts.registry, Profiles: parts.registry, Quota: quota.New(parts.registry, parts.fleet), Demand: parts.store, Histories: parts.registry, Installation: neighbours{identity: parts.identity, meter: meter}, Log: log,
	}, scaler.Options{})
	parts.identity.changed = s.InstallationChanged
	// A lock of its own: the zones' locks are wanted by zone.
	sending := parts.registry.NewLocks(parts.client, name+"-webhooks")
	sending.Want([]string{webhooks.LockName})
	receivers := &webhook.Client{}
	defer receivers.Close()
	sender := webhooks.New(webhooks.Parts{
		Events: parts.store, Queue: parts.store, Registry: parts.registry, Receivers: receivers, Locks: sending, Meter: newWebhookMeter(metrics), Log: log,
	})

	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /v1/health/live", func(w http.ResponseWriter, _ *http.Request) { health(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /v1/health/ready", func(w http.ResponseWriter, _ *http.Request) {
		if s.InSync() {
			health(w, http.StatusOK, "ok")
			return
		}
		health(w, http.StatusServiceUnavailable, "not in sync with Nomad, Consul and Redis; see the log")
	})
	srv := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: serverLog(log),
	}
	log.WithField(logfield.Address, listener.Addr().String()).Info("scaler started")
	ctx, refuse := context.WithCancelCause(ctx)
	defer refuse(nil)
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	// The locks are released only after the last step has ended.
	holding, letGo := context.WithCancel(context.WithoutCancel(ctx))
	wg.Go(func() {
		defer letGo()
		s.Run(ctx)
	})
	wg.Go(func() {
		if err := parts.identity.keep(ctx, log); err != nil {
			refuse(err)
		}
	})
	wg.Go(func() {
		var known *uint64
		followRestores(ctx, parts, func(through uint64) {
			if known != nil && *known != through {
				s.ConsulRestored()
			}
			known = &through
		}, log)
	})
	wg.Go(func() {
		board.Run(ctx, func(err error) {
			log.WithError(err).Warn("cannot write the pools' status to Consul, retrying; the status there expires")
		})
	})
	wg.Go(func() {
		catalog.Run(ctx, func(err error) {
			log.WithError(err).Warn("cannot write to Consul's catalog whose the assigned sessions are, retrying; the entries there may be out of date")
		})
	})
	sendingHeld, sent := context.WithCancel(context.WithoutCancel(ctx))
	wg.Go(func() {
		defer sent()
		sender.Run(ctx)
	})
	wg.Go(func() {
		sending.Run(sendingHeld, func(err error) {
			log.WithError(err).Warn("cannot renew the webhooks' lock, retrying; messages are sent only while it is surely held")
		})
	})
	wg.Go(func() {
		locks.Run(holding, func(err error) {
			log.WithError(err).Warn("cannot renew the zones' locks, retrying; no action in zones whose lock may be lost")
		})
	})
	return foreignCause(ctx, serve(ctx, listener, srv, func() {}))
}
