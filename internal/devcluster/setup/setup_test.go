package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// stub writes a shell script with the given name to dir.
func stub(t *testing.T, dir, name, script string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestMissingListsWhatIsNotOnPath(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	got := missing(t.Context())
	for _, want := range []string{"redis-server", "docker.io", "iptables"} {
		if !slices.Contains(got, want) {
			t.Errorf("missing %v does not list %s", got, want)
		}
	}
	// If a Docker daemon answers, none of Debian's packages for Docker is missing.
	stub(t, bin, "docker", "exit 0\n")
	stub(t, bin, "redis-server", "exit 0\n")
	got = missing(t.Context())
	for _, not := range []string{"redis-server", "docker.io", "iptables"} {
		if slices.Contains(got, not) {
			t.Errorf("missing %v lists %s, which is there", got, not)
		}
	}
}

// make lint must not wait for a build of the servers, so its packages are separate.
func TestMissingForLintIsNodeAndNpm(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	if got := missingForLint(); !slices.Equal(got, []string{"nodejs", "npm"}) {
		t.Errorf("with nothing on PATH: %v", got)
	}
	stub(t, bin, "node", "exit 0\n")
	stub(t, bin, "npm", "exit 0\n")
	if got := missingForLint(); len(got) != 0 {
		t.Errorf("with both on PATH: %v", got)
	}
}

// install runs an update first, starts no services, and afterwards restores the machine's
// policy, even if apt-get fails.
func TestInstall(t *testing.T) {
	before, _ := os.ReadFile(policy)
	for name, status := range map[string]string{"done": "0", "refused": "100"} {
		t.Run(name, func(t *testing.T) {
			bin, calls := t.TempDir(), filepath.Join(t.TempDir(), "calls")
			t.Setenv("PATH", bin+":/usr/bin:/bin")
			t.Setenv("CALLS", calls)
			stub(t, bin, "apt-get", `echo "$DEBIAN_FRONTEND $*" >>"$CALLS"
[ -x `+policy+` ] && `+policy+` redis-server start; echo "policy $?" >>"$CALLS"
[ "$2" = update ] || { echo "no such package"; exit `+status+`; }
`)
			err := install(t.Context(), []string{"redis-server", "busybox-static"})
			got, _ := os.ReadFile(calls)
			if os.Getuid() != 0 {
				if err != nil || len(got) > 0 {
					t.Errorf("not root: got %v, and apt-get was called: %q", err, got)
				}
				return
			}
			if status == "0" && err != nil {
				t.Fatal(err)
			}
			if status != "0" && (err == nil || !strings.Contains(err.Error(), "no such package")) {
				t.Errorf("got %v, want an error with apt-get's output", err)
			}
			want := "noninteractive -qq update\npolicy 101\n" +
				"noninteractive -qq install --yes --no-install-recommends redis-server busybox-static\npolicy 101\n"
			if string(got) != want {
				t.Errorf("apt-get was called with:\n%swant:\n%s", got, want)
			}
			if after, _ := os.ReadFile(policy); string(after) != string(before) {
				t.Errorf("%s was %q and is %q", policy, before, after)
			}
		})
	}
}

// A started daemon keeps running after this process ends: it has its own session.
func TestDockerIsStartedToStay(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root starts a Docker daemon")
	}
	bin := t.TempDir()
	pidFile := filepath.Join(bin, "pid")
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	t.Setenv("GREENROOM_CACHE", t.TempDir())
	stub(t, bin, "docker", "[ -s "+pidFile+" ] || { echo 'Is the daemon running?'; exit 1; }\n")
	stub(t, bin, "dockerd", "echo $$ >"+pidFile+"\nexec sleep 600\n")
	if err := docker(context.Background()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	group, err := syscall.Getpgid(pid)
	if err != nil || group != pid {
		t.Errorf("the daemon %d is in group %d, %v; want one of its own", pid, group, err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

func TestDockerThatFailsNamesItsLog(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root starts a Docker daemon")
	}
	bin := t.TempDir()
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	t.Setenv("GREENROOM_CACHE", t.TempDir())
	stub(t, bin, "docker", "exit 1\n")
	stub(t, bin, "dockerd", "exit 1\n")
	err := docker(context.Background())
	if err == nil || !strings.Contains(err.Error(), "dockerd.log") {
		t.Errorf("got %v, want an error that names the log", err)
	}
}
