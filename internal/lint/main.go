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

// stepTimeout limits one step. The first run of staticcheck on a machine compiles
// staticcheck and every dependency, which takes a minute or two on a small machine.
const stepTimeout = 15 * time.Minute

// step checks one rule, or the rules of one tool.
type step struct {
	name string
	// summary is a sentence that explains the step's findings to their reader.
	summary string
	// run returns findings, each one line that a person can act on. An error means
	// that the check itself failed.
	run func(context.Context, *tree) ([]string, error)
}

// steps run in order of their cost, so that cheap findings appear first.
var steps = []step{
	{"layout", "the top level holds only what the design names", layout},
	{"shell", "shell scripts parse", shellSyntax},
	{"comments", "every package has a package comment", packageComments},
	{"arrows", "packages import only what lies below them, without circles", arrows},
	{"interfaces", "no hand-written interface has more than 12 methods", interfaces},
	{"contract", "Redocly's linter finds nothing in openapi.yaml", contract},
	{"tidy", "go.mod and go.sum are what `go mod tidy` writes", tidy},
	{"modules", "go.mod has no retracted or vulnerable version", modules},
	{"gofumpt", "hand-written Go is formatted by gofumpt", gofumpt},
	{"generated", "generated files are what `go generate ./...` writes", generated},
	{"vet", "go vet ./... finds nothing", vet},
	{"staticcheck", "staticcheck ./... finds nothing", staticcheck},
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

// runSteps runs the steps one after the other, writes each one's findings and
// duration, and reports whether there was no finding and no failure.
func runSteps(ctx context.Context, w io.Writer, t *tree, steps []step) bool {
	clean := true
	for _, s := range steps {
		if ctx.Err() != nil {
			fmt.Fprintln(w, "lint: interrupted")
			return false
		}
		fmt.Fprintf(w, "%-12s %s ... ", s.name, s.summary)
		began := time.Now()
		t.unchecked = nil
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
			fmt.Fprintf(w, "%d to fix (%.1fs)\n", len(findings), took)
			for _, f := range findings {
				fmt.Fprintf(w, "    %s\n", f)
			}
		default:
			fmt.Fprintf(w, "ok (%.1fs)\n", took)
		}
		for _, what := range t.unchecked {
			fmt.Fprintf(w, "    not checked: %s\n", what)
		}
	}
	return clean
}
