package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

const (
	// contractFile is the contract of the broker's HTTP API.
	contractFile = "broker/httpapi/openapi.yaml"
	// contractLinter is a directory with the npm lock file that pins the contract's
	// linter, Redocly CLI, and with the linter's rules.
	contractLinter = "internal/lint/openapi"
)

// contract runs Redocly's linter on the API's contract.
func contract(ctx context.Context, t *tree) ([]string, error) {
	modules, err := npmModules(ctx, t.path(contractLinter))
	if err != nil {
		return nil, err
	}
	cmd := command(ctx, t.dir, "node", filepath.Join(modules, "@redocly", "cli", "bin", "cli.js"),
		"lint", "--format=stylish", "--config="+filepath.Join(contractLinter, "redocly.yaml"), contractFile)
	cmd.Env = append(os.Environ(), "REDOCLY_TELEMETRY=off", "REDOCLY_SUPPRESS_UPDATE_NOTICE=true", "NO_COLOR=1", "FORCE_COLOR=0")
	out, err := cmd.CombinedOutput()
	found := contractFindings(string(out))
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s: %w", cmd, ctx.Err())
	case err == nil, errors.As(err, &exit) && len(found) > 0:
		return found, nil
	}
	return nil, fmt.Errorf("%s: %w\n%s", cmd, err, indent(string(out)))
}

// finding is a line of the linter's that a reader can act on: where, how bad, which rule, what.
var finding = regexp.MustCompile(`^\s+(\d+:\d+)\s+(?:error|warning)\s+(\S+)\s+(.*)$`)

// contractFindings returns the findings in the linter's output, warnings included.
func contractFindings(out string) []string {
	var findings []string
	for l := range strings.Lines(out) {
		if m := finding.FindStringSubmatch(strings.TrimRight(l, "\r\n")); m != nil {
			findings = append(findings, fmt.Sprintf("%s:%s: %s (%s)", contractFile, m[1], strings.TrimSpace(m[3]), m[2]))
		}
	}
	return findings
}

// npmModules returns a node_modules directory with the packages that the lock file in
// dir pins, and installs them if needed. It is in the user's cache under the lock
// file's hash, so that a second checkout installs nothing.
func npmModules(ctx context.Context, dir string) (string, error) {
	lock, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return "", err
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(lock)
	home := filepath.Join(cache, "npm", hex.EncodeToString(sum[:8]))
	modules := filepath.Join(home, "node_modules")
	if _, err := os.Stat(modules); !errors.Is(err, fs.ErrNotExist) {
		return modules, err
	}
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", fmt.Errorf("%s is not installed, and the contract's linter needs it; make lint installs it as root on Debian, otherwise install nodejs and npm", program)
		}
	}
	if err := os.MkdirAll(filepath.Dir(home), 0o755); err != nil {
		return "", err
	}
	// The rename below is atomic, so that an interrupted install is never used.
	fresh, err := os.MkdirTemp(filepath.Dir(home), "install-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh)
	for _, name := range []string{"package.json", "package-lock.json"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(fresh, name), b, 0o644); err != nil {
			return "", err
		}
	}
	// The linter needs no install scripts of its packages, so none may run.
	cmd := command(ctx, fresh, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", cmd, err, indent(string(bytes.TrimSpace(out))))
	}
	// If two installs run at once, the second finds the directory in place.
	if err := os.Rename(fresh, home); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return modules, nil
}

// cacheDir returns the directory for downloads that several checkouts share:
// $GREENROOM_CACHE, or greenroom in the user's cache directory.
func cacheDir() (string, error) {
	if dir := os.Getenv("GREENROOM_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache directory: %w; set GREENROOM_CACHE", err)
	}
	return filepath.Join(base, "greenroom"), nil
}
