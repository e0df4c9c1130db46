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

// dockerTimeout limits the start of a Docker daemon.
const dockerTimeout = time.Minute

// docker returns nil once a Docker daemon answers. If none does, and this is root with
// dockerd on PATH, it starts one, which keeps running after this process ends.
func docker(ctx context.Context) error {
	unavailable := devcluster.DockerAvailable(ctx)
	if unavailable == nil || os.Getuid() != 0 || !onPath("dockerd") {
		return unavailable
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
	fmt.Fprintf(os.Stderr, "setup: starting a Docker daemon; its log is %s\n", logPath)
	// dockerd writes its own pid file, /var/run/docker.pid, and exits if another one runs.
	cmd := exec.Command("dockerd")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = "/"
	// In its own session, dockerd does not get a Ctrl-C, and make's end does not stop it.
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
		if unavailable = devcluster.DockerAvailable(ctx); unavailable == nil {
			return nil
		}
		select {
		case err := <-exited:
			return fmt.Errorf("dockerd exited: %w; see %s", err, logPath)
		case <-ctx.Done():
			return fmt.Errorf("dockerd is not ready after %v; see %s: %w", dockerTimeout, logPath, unavailable)
		case <-tick.C:
		}
	}
}
