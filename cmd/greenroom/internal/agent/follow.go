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

// followCertificate has a renewed certificate served.
func followCertificate(ctx context.Context, certificate *config.Certificate, log *logrus.Entry) {
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	defer signal.Stop(again)
	certificate.Follow(ctx, again, func(err error) {
		if err != nil {
			log.WithError(err).Error("the certificate was not renewed; the one before is served on")
			return
		}
		log.Info("the certificate was read again")
	})
}

// followResources renews the registry's copy in memory at every change.
func followResources(ctx context.Context, parts *adapters, log *logrus.Entry) {
	const pause = time.Second
	for ctx.Err() == nil {
		err := parts.registry.Watch(ctx, func(staging.Resources) {})
		if ctx.Err() == nil {
			log.WithError(err).Warn("cannot follow the resources in Consul; launches go on with those last read")
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// followTokens renews the registry's copy of the tokens at every change.
func followTokens(ctx context.Context, parts *adapters, log *logrus.Entry) {
	const pause = time.Second
	for ctx.Err() == nil {
		err := parts.registry.WatchTokens(ctx)
		if ctx.Err() == nil {
			log.WithError(err).Warn("cannot follow the tokens in Consul; those last read go on being taken")
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}
