package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// stepTimeout bounds one step. The first staticcheck run on a machine compiles
// it and every dependency, which takes a minute or two on a small one.
const stepTimeout = 15 * time.Minute

// step is one rule, or one tool's rules.
type step struct {
	name string
	// demands says what the step wants, for whoever reads a finding.
	demands string
	// run returns one finding per line of text that a person can act on; an
	// error means that the step could not be carried out.
	run func(context.Context, *tree) ([]string, error)
}

// steps are in order of cost, so that the cheap findings come first.
var steps = []step{
	{"layout", "the top level holds only what the design names", layout},
	{"shell", "shell scripts parse", shellSyntax},
	{"comments", "every package says what it promises", packageComments},
	{"arrows", "packages import only what lies below them", arrows},
	{"contract", "openapi.yaml is clean by Redocly's linter", contract},
	{"tidy", "go.mod and go.sum are what `go mod tidy` writes", tidy},
	{"gofumpt", "hand-written Go is formatted by gofumpt", gofumpt},
	{"generated", "generated files are what `go generate ./...` writes", generated},
	{"vet", "go vet ./... has nothing to say", vet},
	{"staticcheck", "staticcheck ./... has nothing to say", staticcheck},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	t, err := openTree(ctx, ".")
	if err != nil {
		fmt.Fprintln(os.Stderr, "lint:", err)
		os.Exit(1)
	}
	if !runSteps(ctx, os.Stdout, t, steps) {
		stop()
		os.Exit(1)
	}
}

// runSteps runs each step in turn, writes how it went and how long it took,
// and reports whether all were clean.
func runSteps(ctx context.Context, w io.Writer, t *tree, steps []step) bool {
	clean := true
	for _, s := range steps {
		if ctx.Err() != nil {
			fmt.Fprintln(w, "lint: interrupted")
			return false
		}
		fmt.Fprintf(w, "%-12s %s ... ", s.name, s.demands)
		began := time.Now()
		stepCtx, cancel := context.WithTimeout(ctx, stepTimeout)
		findings, err := s.run(stepCtx, t)
		cancel()
		took := time.Since(began).Seconds()
		switch {
		case err != nil:
			clean = false
			fmt.Fprintf(w, "could not run (%.1fs)\n    %v\n", took, err)
		case len(findings) > 0:
			clean = false
			fmt.Fprintf(w, "%d to mend (%.1fs)\n", len(findings), took)
			for _, f := range findings {
				fmt.Fprintf(w, "    %s\n", f)
			}
		default:
			fmt.Fprintf(w, "ok (%.1fs)\n", took)
		}
	}
	return clean
}
