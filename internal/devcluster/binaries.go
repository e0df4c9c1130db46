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

// binaries are the paths of the servers' programs; "" for a server that is not needed.
type binaries struct{ nomad, consul, redis string }

// findServers returns the programs that the options need, and builds missing ones.
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

// version is a major and a minor version.
type version [2]int

func (v version) less(w version) bool { return v[0] < w[0] || v[0] == w[0] && v[1] < w[1] }

var versionText = regexp.MustCompile(`\bv=?(\d+)\.(\d+)\.`)

// programVersion runs a program and returns the version in its output, such as
// v1.10.5 or v=7.0.15.
func programVersion(ctx context.Context, path, arg string) (version, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute) // only a program that hangs takes as long
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
		return version{}, fmt.Errorf("%s %s: no version in its output %q", path, arg, first)
	}
	// The expression matches digits only. If a number overflows, Atoi returns the
	// largest one, which is no supported version.
	major, _ := strconv.Atoi(string(m[1]))
	minor, _ := strconv.Atoi(string(m[2]))
	return version{major, minor}, nil
}

// minRedis is the oldest Redis with the commands and script features that greenroom
// uses.
var minRedis = version{6, 2}

// redisProgram returns the path of redis-server on PATH.
func redisProgram(ctx context.Context) (string, error) {
	const advice = "install it, for example with: apt-get install redis-server"
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return "", errors.New("redis-server is not on PATH: " + advice)
	}
	v, err := programVersion(ctx, path, "--version")
	if err != nil {
		return "", err
	}
	if v.less(minRedis) {
		return "", fmt.Errorf("%s is version %d.%d, but greenroom needs %d.%d or newer: %s", path, v[0], v[1], minRedis[0], minRedis[1], advice)
	}
	return path, nil
}
