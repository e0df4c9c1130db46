package e2e

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/devcluster"
)

// TestDevLeavesNothingBehind kills a greenroom dev with sessions of every kind
// and looks for what is left: processes, containers, mounts, ports, data.
func TestDevLeavesNothingBehind(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			d, err := startDev()
			must(t, err)
			dir := d.dir(t)
			var l launched
			d.ask(t, "POST", "/v1/sessions", launch("demo", "west", "henry"), 201, &l)
			d.ask(t, "POST", "/v1/sessions?wait=1ms", launch("demo", "east", "iris"), 201, nil)
			allocs, _, err := d.nomad(t).Allocations().List(nil)
			must(t, err)
			must(t, d.stop(sig))
			nothingLeft(t, d, dir, allocs)
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("%s is still there: %v", dir, err)
			}
		})
	}
}

// nothingLeft checks processes, containers, mounts, ports and data of this machine.
func nothingLeft(t *testing.T, d *devProcess, dir string, allocs []*nomadapi.AllocationListStub) {
	t.Helper()
	procs, err := filepath.Glob("/proc/[0-9]*")
	must(t, err)
	for _, p := range procs {
		cmdline, _ := os.ReadFile(p + "/cmdline")
		cwd, _ := os.Readlink(p + "/cwd")
		if strings.Contains(string(cmdline), dir) || strings.HasPrefix(cwd, dir) {
			t.Errorf("process %s is left: %s", filepath.Base(p), strings.ReplaceAll(string(cmdline), "\x00", " "))
		}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	must(t, err)
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, dir) {
			t.Errorf("a mount is left: %s", line)
		}
	}
	for name, addr := range map[string]string{"broker": d.Broker, "gateway": d.Gateway, "consul": d.Consul, "nomad": d.Nomad, "redis": "tcp://" + d.Redis} {
		u, err := url.Parse(addr)
		must(t, err)
		if c, err := net.DialTimeout("tcp", u.Host, time.Second); err == nil {
			c.Close()
			t.Errorf("the %s still listens on %s", name, u.Host)
		}
	}
	if devcluster.DockerAvailable(context.Background()) != nil {
		return
	}
	out, err := exec.Command("docker", "ps", "-a", "--format", "{{.Names}}").Output()
	must(t, err)
	if len(allocs) == 0 {
		t.Error("Nomad had no allocation to look for: this test tests nothing")
	}
	for _, a := range allocs {
		if strings.Contains(string(out), a.ID) {
			t.Errorf("the container of allocation %s is left", a.ID)
		}
	}
}

// TestDevResumesItsData stops a dev with a data directory and starts it again:
// what was configured is still there, and the pools fill again.
func TestDevResumesItsData(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	args := []string{"--driver", "mock", "--zones", "1", "--desired", "2", "--data-dir", dir}
	d, err := startDev(args...)
	must(t, err)
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("demo", "east", "jack"), 201, &l)
	d.ask(t, "PUT", "/v1/zones/mine", `{"datacenters":["dc1"]}`, 201, nil)
	must(t, d.stop(syscall.SIGTERM))
	nothingLeft(t, d, dir, []*nomadapi.AllocationListStub{{ID: "none"}})

	d, err = startDev(args...)
	must(t, err)
	defer func() { must(t, d.stop(syscall.SIGINT)) }()
	d.ask(t, "GET", "/v1/zones/mine", nil, 200, nil)
	d.untilReady(t, "demo-east", 2)
	until(t, "the session that ended with the first dev says so", func() (bool, string) {
		var s launched
		d.ask(t, "GET", "/v1/sessions/"+l.ID, nil, 200, &s)
		return s.State == "ended", s.State
	})
}

// TestDevWithMockDriverScales fills a pool that is too large for real drivers here.
func TestDevWithMockDriverScales(t *testing.T) {
	d, err := startDev("--driver", "mock", "--zones", "1", "--desired", "60")
	must(t, err)
	defer func() { must(t, d.stop(syscall.SIGINT)) }()
	if n := len(d.passing(t, "demo-east")); n < 60 {
		t.Errorf("the ready file was written with %d of 60 sessions passing in Consul", n)
	}
	var l launched
	d.ask(t, "POST", "/v1/sessions", launch("demo", "east", "kim"), 201, &l)
	if l.Origin != "staged" {
		t.Errorf("served %s", l.Origin)
	}
}

// TestDevNamesTheServerThatCannotStart: exit code 1, with the server's name and its log.
func TestDevNamesTheServerThatCannotStart(t *testing.T) {
	for server, version := range map[string]string{
		"consul": "Consul v1.19.2", "nomad": "Nomad v1.10.5", "redis-server": "Redis server v=7.0.15",
	} {
		t.Run(server, func(t *testing.T) {
			// A program of that name that prints a supported version and then fails.
			path := t.TempDir()
			script := "#!/bin/sh\ncase \"$*\" in *version*) echo '" + version + "'; exit 0;; esac\necho 'cannot bind: this is the log'; exit 3\n"
			must(t, os.WriteFile(filepath.Join(path, server), []byte(script), 0o755))
			cmd := command("dev", "--driver", "mock", "--zones", "1")
			cmd.Env = append(os.Environ(), "PATH="+path+":"+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != 1 {
				t.Errorf("exit code %d (%v), want 1", code, err)
			}
			name, _, _ := strings.Cut(server, "-")
			for _, want := range []string{name, "cannot bind: this is the log"} {
				if !strings.Contains(strings.ToLower(string(out)), want) {
					t.Errorf("the error does not say %q:\n%s", want, out)
				}
			}
		})
	}
}

// TestDevRefusesFlagsThatMakeNoSense, and starts nothing.
func TestDevRefusesFlagsThatMakeNoSense(t *testing.T) {
	for _, args := range [][]string{{"--driver", "podman"}, {"--zones", "0"}, {"--desired", "-1"}, {"--colour"}} {
		cmd := command(append([]string{"dev"}, args...)...)
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != 2 || !strings.Contains(string(out), args[0]) {
			t.Errorf("%v: exit code %d, want 2: %s", args, code, out)
		}
	}
}

// TestDevStoppedWhileStartingLeavesNothing: an immediate Ctrl-C is no error.
func TestDevStoppedWhileStartingLeavesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	d, ready, err := launchDev("--driver", "mock", "--data-dir", dir)
	must(t, err)
	defer os.RemoveAll(filepath.Dir(ready))
	until(t, "the servers are being started", func() (bool, string) {
		_, err := os.Stat(dir)
		return err == nil, fmt.Sprint(err)
	})
	must(t, d.stop(syscall.SIGINT))
	procs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(t, err)
	for _, p := range procs {
		if b, _ := os.ReadFile(p); strings.Contains(string(b), dir) && !strings.HasPrefix(p, fmt.Sprintf("/proc/%d/", os.Getpid())) {
			t.Errorf("%s is left: %s", p, b)
		}
	}
}
