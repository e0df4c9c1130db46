// Command setup is what `make setup` runs, and with the argument "lint" what `make
// lint` runs first, which needs Node.js and npm alone. `make setup` makes the machine ready for
// `make dev` and `make test`. As root on Debian it installs what is missing and
// starts a Docker daemon where none answers; everywhere it looks up Nomad and
// Consul, and builds and caches them where no supported version is on PATH.
//
// It promises to leave alone what is there already, to stop nothing, to be
// quiet when there is nothing to do, and to say what to install where it may
// not. Docker is worth having and not needed: without it sessions are plain
// processes. Under CI=true a missing Docker is an error.
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

func setup(ctx context.Context) error {
	if err := install(ctx, missing(ctx)); err != nil {
		return err
	}
	if err := docker(ctx); err != nil {
		if os.Getenv("CI") == "true" {
			return err
		}
		fmt.Fprintf(os.Stderr, "setup: going on without Docker: %v\n", err)
	}
	return devcluster.Prepare(ctx, os.Stderr)
}
