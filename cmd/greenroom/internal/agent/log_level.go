package agent

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/config"
	"github.com/greenroom/greenroom/internal/logfield"
)

// followLevel loads the configuration again at every SIGHUP and sets the log's level from
// it, until ctx is done or stop is called, which waits for the end. All other settings are
// ignored. A configuration that is not valid leaves the level as it is and is logged.
func followLevel(ctx context.Context, load func() (config.Agent, error), log *logrus.Logger) (stop func()) {
	hups := make(chan os.Signal, 1)
	signal.Notify(hups, syscall.SIGHUP)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer signal.Stop(hups)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hups:
				readLevel(load, log)
			}
		}
	}()
	return func() { cancel(); <-done }
}

func readLevel(load func() (config.Agent, error), log *logrus.Logger) {
	a, err := load()
	if err != nil {
		log.WithError(err).Error("the configuration is no longer valid; the log level stays as it is")
		return
	}
	level, err := config.ParseLevel(a.LogLevel)
	if err != nil {
		log.WithError(err).Error("the configured log level is not valid; the log level stays as it is")
		return
	}
	log.SetLevel(level)
	log.WithField(logfield.Level, level).Warn("reloaded the log level")
}
