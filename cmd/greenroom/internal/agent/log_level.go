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

// followLevel has the configuration read anew at every SIGHUP until ctx is done, and the
// log's level set to what it then says. One that is not valid leaves the level as it is,
// and the log says why. Nothing else of it is taken. stop waits until that has ended.
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
		log.WithError(err).Error("the configuration is not valid any more; the log level stays as it is")
		return
	}
	level, err := config.ParseLevel(a.LogLevel)
	if err != nil {
		log.WithError(err).Error("the log level stays as it is")
		return
	}
	log.SetLevel(level)
	log.WithField(logfield.Level, level).Warn("log level read anew")
}
