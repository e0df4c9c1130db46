package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"
)

// toolsMod pins gofumpt and staticcheck. When the tools themselves call the go
// command, they do so without this flag, so they see the program's own go.mod.
const toolsMod = "-modfile=internal/lint/tools.mod"

// command returns a command that runs in dir and ends when ctx does.
func command(ctx context.Context, dir, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	// The go command passes an interrupt on to its child processes; a kill would
	// leave them running.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// output runs a command that must succeed and returns its standard output.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := command(ctx, dir, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", cmd, err, indent(stderr.String()))
	}
	return stdout.String(), nil
}

// complaints runs a tool that prints its findings and then exits with an error.
// It returns the lines of the output.
func complaints(ctx context.Context, dir, name string, args ...string) ([]string, error) {
	cmd := command(ctx, dir, name, args...)
	out, err := cmd.CombinedOutput()
	found := lines(string(out))
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s: %w", cmd, ctx.Err())
	case err == nil:
		return found, nil
	case errors.As(err, &exit) && len(found) > 0:
		return found, nil
	default:
		return nil, fmt.Errorf("%s: %w", cmd, err)
	}
}

// lines splits a tool's output into lines. It drops the go command's notes about
// downloads and the headings of packages.
func lines(out string) []string {
	var kept []string
	for l := range strings.Lines(out) {
		l = strings.TrimRight(l, "\r\n")
		if l == "" || strings.HasPrefix(l, "# ") || strings.HasPrefix(l, "go: downloading ") {
			continue
		}
		kept = append(kept, l)
	}
	return kept
}

// indent indents a tool's output for an error text.
func indent(s string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n        ")
}

func vet(ctx context.Context, t *tree) ([]string, error) {
	return complaints(ctx, t.dir, "go", "vet", "./...")
}

func staticcheck(ctx context.Context, t *tree) ([]string, error) {
	return complaints(ctx, t.dir, "go", "tool", toolsMod, "staticcheck", "./...")
}

// changed matches a line of a diff that a reader can act on, and no lone bracket.
var changed = regexp.MustCompile(`^[+-].*[a-z0-9]\.`)

// tidy returns the lines of go.mod that `go mod tidy` would change. It only counts
// the lines of go.sum, because they follow from go.mod.
func tidy(ctx context.Context, t *tree) ([]string, error) {
	found, err := complaints(ctx, t.dir, "go", "mod", "tidy", "-diff")
	if err != nil || len(found) == 0 {
		return nil, err
	}
	var findings []string
	file, sums := "", 0
	for _, l := range found {
		switch rest, isDiff := strings.CutPrefix(l, "diff current/"); {
		case isDiff:
			file, _, _ = strings.Cut(rest, " ")
		case file == "":
			// An error of the go command, printed instead of a diff.
			findings = append(findings, l)
		case strings.HasPrefix(l, "+++ ") || strings.HasPrefix(l, "--- ") || !changed.MatchString(l):
		case file == "go.sum":
			sums++
		default:
			findings = append(findings, file+": "+l)
		}
	}
	if sums > 0 {
		findings = append(findings, fmt.Sprintf("go.sum: %d lines differ", sums))
	}
	return append(findings, "run: go mod tidy"), nil
}

// gofumpt checks the formatting of hand-written Go files.
func gofumpt(ctx context.Context, t *tree) ([]string, error) {
	args := []string{"tool", toolsMod, "gofumpt", "-l"}
	for _, f := range t.files {
		if !strings.HasSuffix(f, ".go") {
			continue
		}
		written, err := handWritten(t, f)
		if err != nil {
			return nil, err
		}
		if written {
			args = append(args, f)
		}
	}
	found, err := complaints(ctx, t.dir, "go", args...)
	for i, f := range found {
		if slices.Contains(t.files, f) {
			found[i] = f + ": run: go tool " + toolsMod + " gofumpt -w " + f
		}
	}
	return found, err
}

// shebang matches the first line of a shell script.
var shebang = regexp.MustCompile(`^#!.*\b(ba|da)?sh\b`)

// shellSyntax lets bash parse every shell script without running it.
func shellSyntax(ctx context.Context, t *tree) ([]string, error) {
	var findings []string
	for _, f := range t.files {
		first, err := t.firstLine(f)
		if err != nil {
			return nil, err
		}
		if !strings.HasSuffix(f, ".sh") && !shebang.MatchString(first) {
			continue
		}
		found, err := complaints(ctx, t.dir, "bash", "-n", f)
		if err != nil {
			return nil, err
		}
		findings = append(findings, found...)
	}
	return findings, nil
}
