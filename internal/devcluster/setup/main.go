// Command setup prepares the machine for `make dev` and `make test`; `make setup` runs
// it. As root on Debian it installs missing packages and starts a Docker daemon if none
// answers. On every system it looks up Nomad and Consul, and builds and caches them if
// no supported version is on PATH. With the argument "lint" it only installs Node.js
// and npm, which `make lint` needs.
//
// It changes nothing that is installed already, stops nothing, and prints nothing if
// there is nothing to do. If it cannot install a package, it prints its name. Docker is
// optional, because sessions can be plain processes without it, but under CI=true a
// missing Docker is an error.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/greenroom/greenroom/internal/devcluster"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	prepare := setup
	if len(os.Args) > 1 && os.Args[1] == "lint" {
		prepare = func(ctx context.Context) error { return install(ctx, missingForLint()) }
	}
	err := prepare(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "setup:", err)
		os.Exit(1)
	}
}

// setup prepares the machine for `make dev` and `make test`.
func setup(ctx context.Context) error {
	if err := install(ctx, missing(ctx)); err != nil {
		return err
	}
	if err := docker(ctx); err != nil {
		if os.Getenv("CI") == "true" {
			return err
		}
		fmt.Fprintf(os.Stderr, "setup: continuing without Docker: %v\n", err)
	}
	return devcluster.Prepare(ctx, os.Stderr)
}
