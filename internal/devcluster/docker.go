package devcluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"
)

// DockerAvailable returns nil when a Docker daemon answers, else an error that
// says what to do about it.
func DockerAvailable(ctx context.Context) error {
	if _, err := exec.LookPath("docker"); err != nil {
		return errors.New("docker is not on PATH: install it, for example with: apt-get install --no-install-recommends docker.io iptables")
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "docker", "version", "--format", "{{.Server.Version}}").CombinedOutput()
	if err != nil {
		return fmt.Errorf("no Docker daemon answers (`make setup` starts one where it may): %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}
