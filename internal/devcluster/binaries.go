package devcluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// binaries are the paths of the servers' programs; "" for one not needed.
type binaries struct{ nomad, consul, redis string }

// findServers looks up, or builds, what the options need.
func findServers(ctx context.Context, o Options) (binaries, error) {
	var b binaries
	var err error
	if !o.NoRedis {
		if b.redis, err = redisProgram(ctx); err != nil {
			return b, err
		}
	}
	if !o.NoConsul {
		if b.consul, err = consulModule.program(ctx, o.Progress); err != nil {
			return b, err
		}
	}
	if len(o.Datacenters) > 0 {
		if b.nomad, err = nomadModule.program(ctx, o.Progress); err != nil {
			return b, err
		}
	}
	return b, nil
}

// version is major and minor.
type version [2]int

func (v version) less(w version) bool { return v[0] < w[0] || v[0] == w[0] && v[1] < w[1] }

var versionText = regexp.MustCompile(`\bv=?(\d+)\.(\d+)\.`)

// askVersion runs a program and finds its version, such as v1.10.5 or v=7.0.15,
// in what it prints.
func askVersion(ctx context.Context, path, arg string) (version, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, arg)
	cmd.Env = environment("")
	out, err := cmd.Output()
	if err != nil {
		return version{}, fmt.Errorf("%s %s: %w", path, arg, err)
	}
	m := versionText.FindSubmatch(out)
	if m == nil {
		first, _, _ := bytes.Cut(out, []byte("\n"))
		return version{}, fmt.Errorf("%s %s prints no version but %q", path, arg, first)
	}
	// The expression matches digits only; a number too long is a wrong version.
	major, _ := strconv.Atoi(string(m[1]))
	minor, _ := strconv.Atoi(string(m[2]))
	return version{major, minor}, nil
}

// minRedis has the commands and script features that greenroom uses.
var minRedis = version{6, 2}

func redisProgram(ctx context.Context) (string, error) {
	const advice = "install it, for example with: apt-get install redis-server"
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return "", errors.New("redis-server is not on PATH: " + advice)
	}
	v, err := askVersion(ctx, path, "--version")
	if err != nil {
		return "", err
	}
	if v.less(minRedis) {
		return "", fmt.Errorf("%s is version %d.%d, and %d.%d or newer is needed: %s", path, v[0], v[1], minRedis[0], minRedis[1], advice)
	}
	return path, nil
}
