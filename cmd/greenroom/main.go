// Command greenroom is the whole of greenroom in one program: the broker and
// the scaler that a cluster runs, the command line that drives a broker, and
// dev, which starts everything on one machine.
//
// It promises exit codes that scripts can rely on (see --help), results on standard
// output and everything else on standard error. It holds no logic of its own:
// internal/agent joins the packages that have it, and the other commands call a broker
// over its API. All commands are listed in internal/cli/root.go.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	// A container image may have no time zones of its own; schedules need them.
	_ "time/tzdata"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
