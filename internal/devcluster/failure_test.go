package devcluster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
)

// stub writes a shell script with the given name to dir.
func stub(t *testing.T, dir, name, script string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
}

// If a server exits, the error names it and shows the end of its log. The other servers
// do not keep running.
func TestStartErrorShowsTheLog(t *testing.T) {
	bin := t.TempDir()
	stub(t, bin, "consul", `
if [ "$1" = version ]; then echo "Consul v1.19.9"; exit 0; fi
case "$3" in */consul-agent-dc2/*) exec sleep 600 ;; esac
echo "==> the moon is in the wrong house"
exit 3
`)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	dir := t.TempDir()
	c, err := devcluster.Start(context.Background(), devcluster.Options{Dir: dir, Datacenters: []string{"dc1", "dc2"}})
	if err == nil {
		t.Fatalf("it started: %v", c.Stop())
	}
	var start *devcluster.StartError
	if !errors.As(err, &start) || start.Server != "consul" {
		t.Fatalf("the error is %T about %+v, want a *StartError about consul", err, start)
	}
	for _, want := range []string{"consul did not start", "exit status 3", "the moon is in the wrong house"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not contain %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "consul-agent") {
		t.Errorf("the error blames a server that depends on the one that failed:\n%v", err)
	}
	if pids := devcluster.Marked(dir); len(pids) > 0 {
		t.Errorf("processes are left: %v", pids)
	}
}

// If the caller cancels a start, the error is the context's and blames no server.
func TestStartCutShort(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	bin, dir := t.TempDir(), t.TempDir()
	up := filepath.Join(bin, "up")
	stub(t, bin, "consul", `
if [ "$1" = version ]; then echo "Consul v1.19.9"; exit 0; fi
touch `+up+`
exec sleep 600
`)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	go func() {
		defer cancel()
		for range 600 {
			if _, err := os.Stat(up); err == nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	_, err := devcluster.Start(ctx, devcluster.Options{Dir: dir, NoRedis: true})
	var start *devcluster.StartError
	if !errors.Is(err, context.Canceled) || errors.As(err, &start) {
		t.Errorf("got %T: %v, want the context's error", err, err)
	}
	if pids := devcluster.Marked(dir); len(pids) > 0 {
		t.Errorf("processes are left: %v", pids)
	}
}

func TestMissingRedisSaysWhatToInstall(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := devcluster.Start(context.Background(), devcluster.Options{})
	if err == nil || !strings.Contains(err.Error(), "apt-get install redis-server") {
		t.Errorf("got %v, want advice on redis-server", err)
	}
}

func TestMissingDockerSaysWhatToInstall(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := devcluster.DockerAvailable(context.Background())
	if err == nil || !strings.Contains(err.Error(), "docker.io") {
		t.Errorf("got %v, want advice on docker.io", err)
	}
}

// fakeGo replaces the go command, because a real build takes minutes. It checks that
// module files exist, and "builds" a script that prints the package to build.
const fakeGo = `
[ -s go.mod ] && [ -s go.sum ] || { echo "no module files in $PWD" >&2; exit 1; }
echo run >>"$BUILDS"
while [ $# -gt 1 ]; do
  if [ "$1" = -o ]; then out=$2; fi
  shift
done
printf '#!/bin/sh\necho %s\n' "$1" >"$out"
chmod +x "$out"
`

// If no supported version is on PATH, Nomad and Consul are built, each only once even by
// concurrent calls, and kept in the cache.
func TestPrepareBuildsOnce(t *testing.T) {
	bin, cache := t.TempDir(), t.TempDir()
	builds := filepath.Join(t.TempDir(), "builds")
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	t.Setenv("GREENROOM_CACHE", cache)
	t.Setenv("BUILDS", builds)
	stub(t, bin, "go", fakeGo)
	stub(t, bin, "nomad", "echo 'Nomad v1.4.2'\n")
	stub(t, bin, "consul", "echo 'Consul v1.9.17+ent'\n")
	var progress bytes.Buffer
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		wg.Go(func() {
			var w bytes.Buffer
			errs[i] = devcluster.Prepare(context.Background(), &w)
			if i == 0 {
				progress = w
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(builds); err != nil || string(b) != "run\nrun\n" {
		t.Errorf("builds: %q, %v; want two", b, err)
	}
	if !strings.Contains(progress.String(), "1.4, which is not supported") {
		t.Errorf("the progress does not mention that Nomad 1.4 is not supported:\n%s", progress.String())
	}
	built, err := filepath.Glob(filepath.Join(cache, "servers", "*-v*", "[nc]o[nm]*[dl]"))
	if err != nil || len(built) != 2 {
		t.Errorf("the cache holds %v, %v", built, err)
	}
}

func TestFailedBuildSaysWhy(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin+":/usr/bin:/bin")
	t.Setenv("GREENROOM_CACHE", t.TempDir())
	stub(t, bin, "nomad", "echo 'Nomad v1.4.2'\n")
	stub(t, bin, "go", "echo 'the sum does not add up' >&2; exit 1\n")
	err := devcluster.Prepare(context.Background(), nil)
	if err == nil || !strings.Contains(err.Error(), "nomad") || !strings.Contains(err.Error(), "the sum does not add up") {
		t.Errorf("got %v, want an error about nomad with the build's output", err)
	}
}

// If a cluster's process is killed, its tasks keep running. The next start of any
// cluster removes them.
func TestStartSweepsWhatAKilledProcessLeft(t *testing.T) {
	if dir := os.Getenv("DEVCLUSTER_VICTIM"); dir != "" {
		beKilled(t)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "DEVCLUSTER_VICTIM=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var dir string
	for dir == "" {
		var token string
		if _, err := fmt.Fscan(out, &token); err != nil {
			t.Fatalf("the victim did not print its directory: %v, %v", err, cmd.Wait())
		}
		dir, _ = strings.CutPrefix(token, "victim:")
		if dir == token {
			dir = ""
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if len(devcluster.Marked(dir)) == 0 {
		t.Error("the victim's task ended by itself, so this test shows nothing")
	}
	devtest.Redis(t)
	if pids := devcluster.Marked(dir); len(pids) > 0 {
		t.Errorf("processes are left: %v", pids)
	}
	if ids, err := devcluster.Containers(context.Background(), dir); err != nil || len(ids) > 0 {
		t.Errorf("containers are left: %v, %v", ids, err)
	}
	if mounts, err := devcluster.MountsBelow(dir); err != nil || len(mounts) > 0 {
		t.Errorf("mounts are left: %v, %v", mounts, err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", dir, err)
	}
}

// beKilled starts a cluster with sessions, prints its directory and waits to be killed.
func beKilled(t *testing.T) {
	c, err := devcluster.Start(context.Background(), devcluster.Options{Datacenters: []string{"dc1", "dc2"}, Docker: true})
	if err != nil {
		t.Fatal(err)
	}
	startDemo(t, c, 1)
	fmt.Println("victim:" + c.Dir)
	select {}
}
