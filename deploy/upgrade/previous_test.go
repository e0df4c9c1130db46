package upgrade

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
)

var servers = devtest.Share(devcluster.Options{Datacenters: []string{"dc1"}})

func TestMain(m *testing.M) {
	code := servers.Around(m).Run()
	if err := os.RemoveAll(build.dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// previousRelease builds the greenroom of the last release, and returns its program. A clone
// without its commit cannot do that, so the test is skipped there, and only there.
func previousRelease(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("previous-release")
	must(t, err)
	release := strings.TrimSpace(string(text))
	if out, err := exec.Command("git", "rev-parse", "--verify", "--quiet", release+"^{commit}").CombinedOutput(); err != nil {
		t.Skipf("this clone has no history before this build, so the last release, %s, cannot be built: clone it whole (%v %s)", release, err, out)
	}
	dir := t.TempDir()
	tree := filepath.Join(dir, "previous.tar")
	run(t, "", "git", "-C", "../..", "archive", "--output", tree, release)
	run(t, dir, "tar", "-xf", tree)
	program := filepath.Join(dir, "greenroom-previous")
	// Without its directory in it, what is compiled serves the next run, which has another one.
	run(t, dir, "go", "build", "-buildvcs=false", "-trimpath", "-o", program, "./cmd/greenroom")
	return program
}

// run runs a command that must succeed. Binaries are static, as make builds them, so that what
// was compiled for them serves again.
func run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// thisBuild builds this greenroom, once for all tests.
func thisBuild(t *testing.T) string {
	t.Helper()
	build.once.Do(func() {
		if build.dir, build.err = os.MkdirTemp("", "greenroom-upgrade-"); build.err == nil {
			build.program, build.err = agenttest.Build("greenroom", build.dir)
		}
	})
	must(t, build.err)
	return build.program
}

var build struct {
	once         sync.Once
	dir, program string
	err          error
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// release is a broker and a scaler of one build.
type release struct {
	broker, scaler *agenttest.Agent
	agenttest.API
}

// start starts a broker and a scaler of a build.
func start(t *testing.T, program string, flags ...string) release {
	t.Helper()
	flags = append(agenttest.On(servers.Cluster(t)), flags...)
	b := agenttest.Start(t, program, "broker", flags...)
	return release{broker: b, scaler: agenttest.Start(t, program, "scaler", flags...), API: b.API()}
}

// zone returns the zone of the tests.
func zone() staging.Zone {
	return staging.Zone{Name: "east", Datacenters: []string{"dc1"}, AllowOriginDomain: "127.0.0.1", UpstreamAuthAddress: "127.0.0.1"}
}

// stores stores a zone, and an image with a pool.
func (r release) stores(t *testing.T, image string, desired int) {
	t.Helper()
	r.Ask(t, "PUT", "/v1/zones/east", zone(), 201, nil)
	r.Ask(t, "PUT", "/v1/images/"+image, staging.Image{Name: image, Jobspec: jobspecs.DemoMock}, 201, nil)
	r.Ask(t, "PUT", "/v1/staging/"+image, fmt.Sprintf(`{"zone":"east","image":%q,"desired_sessions":%d}`, image, desired), 201, nil)
}

// full waits until a pool has its desired number of ready sessions.
func (r release) full(t *testing.T, pool string, desired int) {
	t.Helper()
	agenttest.Until(t, fmt.Sprintf("pool %s has %d ready sessions", pool, desired), func() (bool, string) {
		var p struct {
			Ready int `json:"ready_sessions"`
		}
		answer := r.Ask(t, "GET", "/v1/staging/"+pool, nil, 200, &p)
		return p.Ready >= desired, string(answer.Body)
	})
}
