package agent

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/config"
	"github.com/greenroom/greenroom/internal/staging"
)

// followCertificate reloads the certificate when its files change, and at a SIGHUP,
// until ctx is done.
func followCertificate(ctx context.Context, certificate *config.Certificate, log *logrus.Entry) {
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	defer signal.Stop(again)
	certificate.Follow(ctx, again, func(err error) {
		if err != nil {
			log.WithError(err).Error("the certificate was not renewed; the broker keeps serving the previous one")
			return
		}
		log.Info("reloaded the certificate")
	})
}

// followResources keeps the registry's cache of resources up to date until ctx is done.
func followResources(ctx context.Context, parts *adapters, log *logrus.Entry) {
	watch := func(ctx context.Context) error { return parts.registry.Watch(ctx, func(staging.Resources) {}) }
	keepFollowing(ctx, watch, log, "cannot watch the resources in Consul, retrying; launches use the last ones that were read")
}

// followTokens keeps the registry's cache of tokens up to date until ctx is done.
func followTokens(ctx context.Context, parts *adapters, log *logrus.Entry) {
	keepFollowing(ctx, parts.registry.WatchTokens, log, "cannot watch the tokens in Consul, retrying; the last ones that were read stay valid")
}

// followUserLocks keeps the registry's cache of locked users up to date until ctx is done.
func followUserLocks(ctx context.Context, parts *adapters, log *logrus.Entry) {
	keepFollowing(ctx, parts.registry.WatchUserLocks, log, "cannot watch the locked users in Consul, retrying; those that were locked at the last reading stay locked")
}

// followRestores calls note with the newest restore of Consul that a scaler has noted, and after
// each further one, until ctx is done.
func followRestores(ctx context.Context, parts *adapters, note func(through uint64), log *logrus.Entry) {
	watch := func(ctx context.Context) error {
		return parts.registry.WatchGeneration(ctx, func(g staging.Generation) { note(g.RestoredThrough) })
	}
	keepFollowing(ctx, watch, log, "cannot watch the generation of sessions in Consul, retrying; it shows a restore of Consul from a snapshot")
}

// keepFollowing calls watch again and again until ctx is done, and logs why it ended.
func keepFollowing(ctx context.Context, watch func(context.Context) error, log *logrus.Entry, trouble string) {
	const pause = time.Second
	for ctx.Err() == nil {
		err := watch(ctx)
		if ctx.Err() == nil {
			log.WithError(err).Warn(trouble)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// followKeys keeps the registry's cache of the keys that brokers share up to date until ctx is
// done.
func followKeys(ctx context.Context, watch func(context.Context) error, log *logrus.Entry) {
	keepFollowing(ctx, watch, log, "cannot watch the keys of tokens and logins in Consul, retrying; the last ones that were read are used")
}

// probeRedis runs the breaker of the client of Redis until ctx is done.
func probeRedis(ctx context.Context, parts *adapters, log *logrus.Entry) {
	parts.breaker.Run(ctx, parts.store.Ping, func(reason error) {
		if reason != nil {
			log.WithError(reason).Warn("redis does not answer; until it does, launches use Consul, and calls to Redis are refused at once")
			return
		}
		log.Info("redis answers again")
	})
}
