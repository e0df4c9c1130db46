package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/greenroom/greenroom/internal/devcluster"
)

// dockerTimeout bounds how long a Docker daemon may take to come up.
const dockerTimeout = time.Minute

// docker returns nil once a Docker daemon answers. Where none does, one is
// installed and we are root, it starts it, to stay when we have ended.
func docker(ctx context.Context) error {
	absent := devcluster.DockerAvailable(ctx)
	if absent == nil || os.Getuid() != 0 || !onPath("dockerd") {
		return absent
	}
	cache, err := devcluster.CacheDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	logPath := filepath.Join(cache, "dockerd.log")
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	fmt.Fprintf(os.Stderr, "setup: starting a Docker daemon, its log is %s\n", logPath)
	// It writes its own pid file, /var/run/docker.pid, and ends if one runs.
	cmd := exec.Command("dockerd")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = "/"
	// A session of its own: neither make's end nor a Ctrl-C reaches it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	ctx, cancel := context.WithTimeout(ctx, dockerTimeout)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if absent = devcluster.DockerAvailable(ctx); absent == nil {
			return nil
		}
		select {
		case err := <-exited:
			return fmt.Errorf("dockerd ended: %w; see %s", err, logPath)
		case <-ctx.Done():
			return fmt.Errorf("dockerd is not ready after %v, see %s: %w", dockerTimeout, logPath, absent)
		case <-tick.C:
		}
	}
}
