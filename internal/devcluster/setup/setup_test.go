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

// stub puts a shell script of that name into dir.
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
	// Whoever has a Docker daemon that answers needs no package of Debian's.
	stub(t, bin, "docker", "exit 0\n")
	stub(t, bin, "redis-server", "exit 0\n")
	got = missing(t.Context())
	for _, not := range []string{"redis-server", "docker.io", "iptables"} {
		if slices.Contains(got, not) {
			t.Errorf("missing %v lists %s, which is there", got, not)
		}
	}
}

// The linter's own needs are not those of the servers: make lint waits for no build.
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

// Packages are installed after an update, without their services starting, and
// the machine's policy is as before afterwards, also when apt-get fails.
func TestInstall(t *testing.T) {
	before, _ := os.ReadFile(policy)
	for name, status := range map[string]string{"done": "0", "refused": "100"} {
		t.Run(name, func(t *testing.T) {
			bin, said := t.TempDir(), filepath.Join(t.TempDir(), "said")
			t.Setenv("PATH", bin+":/usr/bin:/bin")
			t.Setenv("SAID", said)
			stub(t, bin, "apt-get", `echo "$DEBIAN_FRONTEND $*" >>"$SAID"
[ -x `+policy+` ] && `+policy+` redis-server start; echo "policy $?" >>"$SAID"
[ "$2" = update ] || { echo "no such package"; exit `+status+`; }
`)
			err := install(t.Context(), []string{"redis-server", "busybox-static"})
			words, _ := os.ReadFile(said)
			if os.Getuid() != 0 {
				if err != nil || len(words) > 0 {
					t.Errorf("not root: got %v, and apt-get was told %q", err, words)
				}
				return
			}
			if status == "0" && err != nil {
				t.Fatal(err)
			}
			if status != "0" && (err == nil || !strings.Contains(err.Error(), "no such package")) {
				t.Errorf("got %v, want an error with apt-get's words", err)
			}
			want := "noninteractive -qq update\npolicy 101\n" +
				"noninteractive -qq install --yes --no-install-recommends redis-server busybox-static\npolicy 101\n"
			if string(words) != want {
				t.Errorf("apt-get was told:\n%swant:\n%s", words, want)
			}
			if after, _ := os.ReadFile(policy); string(after) != string(before) {
				t.Errorf("%s was %q and is %q", policy, before, after)
			}
		})
	}
}

// A daemon that is started outlives us: it has a session of its own.
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

func TestDockerThatFailsSaysWhereToLook(t *testing.T) {
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
