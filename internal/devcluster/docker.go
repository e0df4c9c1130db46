package devcluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"
)

// DockerAvailable returns nil if a Docker daemon answers, and otherwise an error that
// suggests how to get one.
func DockerAvailable(ctx context.Context) error {
	if _, err := exec.LookPath("docker"); err != nil {
		return errors.New("docker is not on PATH: install it, for example with: apt-get install --no-install-recommends docker.io iptables")
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute) // only a daemon that hangs takes as long
	defer cancel()
	out, err := exec.CommandContext(ctx, "docker", "version", "--format", "{{.Server.Version}}").CombinedOutput()
	if err != nil {
		return fmt.Errorf("no Docker daemon answers (as root, `make setup` starts one): %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}
