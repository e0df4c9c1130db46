package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/greenroom/greenroom/internal/devcluster"
)

// installTimeout limits one call of apt-get.
const installTimeout = 10 * time.Minute

// missing returns the Debian packages of the programs that dev and test need and that
// are not installed.
func missing(ctx context.Context) []string {
	var packages []string
	if !onPath("redis-server") {
		packages = append(packages, "redis-server")
	}
	if devcluster.DockerAvailable(ctx) != nil {
		if !onPath("docker") || !onPath("dockerd") {
			packages = append(packages, "docker.io")
		}
		if !onPath("iptables") {
			packages = append(packages, "iptables")
		}
	}
	if devcluster.CheckBusybox() != nil {
		packages = append(packages, "busybox-static")
	}
	// For the desktop's image, which is built from Debian's packages.
	if !onPath("mmdebstrap") {
		packages = append(packages, "mmdebstrap")
	}
	// systemd's own check of the units in deploy.
	if !onPath("systemd-analyze") {
		packages = append(packages, "systemd")
	}
	// For the tests with a reverse proxy in front of a session.
	for program, name := range map[string]string{"nginx": "nginx-light", "caddy": "caddy"} {
		if !onPath(program) {
			packages = append(packages, name)
		}
	}
	// For the tests of the web pages.
	if !onPath("chromium") {
		packages = append(packages, "chromium")
	}
	// For the commands in the documents, which a test runs.
	for _, program := range []string{"curl", "jq"} {
		if !onPath(program) {
			packages = append(packages, program)
		}
	}
	return packages
}

// missingForLint returns the Debian packages of the programs that run the linter of the
// API's contract and that are not installed.
func missingForLint() []string {
	var packages []string
	for program, name := range map[string]string{"node": "nodejs", "npm": "npm"} {
		if !onPath(program) {
			packages = append(packages, name)
		}
	}
	slices.Sort(packages)
	return packages
}

// onPath reports whether a program is on PATH.
func onPath(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// install installs the packages as root on Debian. Otherwise it only prints their names:
// the program that needs a missing one fails with its own message.
func install(ctx context.Context, packages []string) error {
	if len(packages) == 0 {
		return nil
	}
	if os.Getuid() != 0 || !onPath("apt-get") {
		fmt.Fprintf(os.Stderr, "setup: missing packages, which only root on Debian can install: %s\n", strings.Join(packages, " "))
		return nil
	}
	fmt.Fprintf(os.Stderr, "setup: installing %s\n", strings.Join(packages, " "))
	allow, err := denyServices()
	if err != nil {
		return err
	}
	err = aptGet(ctx, "update")
	if err == nil {
		err = aptGet(ctx, append([]string{"install", "--yes", "--no-install-recommends"}, packages...)...)
	}
	return errors.Join(err, allow())
}

func aptGet(ctx context.Context, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, installTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-qq"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// policy is the program that Debian runs to decide whether a package may start its
// service; an exit status of 101 forbids it.
const policy = "/usr/sbin/policy-rc.d"

// denyServices prevents the packages from starting services, above all a Redis on its
// usual port, until allow is called. It does not change an existing policy.
func denyServices() (allow func() error, err error) {
	f, err := os.OpenFile(policy, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if errors.Is(err, os.ErrExist) {
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	allow = func() error { return os.Remove(policy) }
	_, err = f.WriteString("#!/bin/sh\nexit 101\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, allow())
	}
	return allow, nil
}
