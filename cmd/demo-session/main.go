// Command demo-session is what greenroom's demo image runs: a small stand-in
// for a desktop or a notebook.
//
// `demo-session` serves a page, is healthy only after a warm-up (the wait that
// staging hides), and greets its user by name once it knows who that is.
// `demo-session assign` is its assign hook: it writes the user that it finds in
// its environment into a file of the task, which the server reads at each
// request. `demo-session first-launch` and `demo-session go` are its other hooks,
// and write into the same file. GET /served gives the records of users as JSON:
// the session's own word about whom it was given to, which tests hold against the
// broker's; GET /hooks gives those of all hooks that ran.
//
// It promises that a user's name is data wherever it goes, and that a record
// that was acknowledged is on disk. It is one static binary on the standard
// library alone, so that an image needs nothing else.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// As a container's first process we die of no signal that we do not handle.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

const usage = `usage: demo-session [-listen ADDRESS] [-warmup D] [-exit-after D] [-unhealthy-after D]
       demo-session first-launch | assign | go
`

// run returns the exit status.
func run(ctx context.Context, args []string) int {
	if len(args) > 0 {
		if h, ok := hooks[args[0]]; ok {
			return h.run(os.Stdout, os.Stderr)
		}
	}
	s, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo-session:", err)
		return 2
	}
	return s.serve(ctx)
}
