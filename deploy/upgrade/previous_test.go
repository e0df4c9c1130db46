package upgrade

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/jobspecs"
)

var servers = devtest.Share(devcluster.Options{Datacenters: []string{"dc1"}})

func TestMain(m *testing.M) { os.Exit(agenttest.Around(servers.Around(m)).Run()) }

// previousRelease builds the greenroom of the last release, and returns its program. A clone
// without its commit cannot do that, so the test is skipped there, and only there.
func previousRelease(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("previous-release")
	agenttest.Must(t, err)
	release := strings.TrimSpace(string(text))
	if out, err := exec.Command("git", "rev-parse", "--verify", "--quiet", release+"^{commit}").CombinedOutput(); err != nil {
		if hasHistory() {
			t.Fatalf("the history lacks the last release, %s: name a commit of it in previous-release (%v %s)", release, err, out)
		}
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

// hasHistory reports whether the clone has all that was before this build, and there was something.
func hasHistory() bool {
	shallow, err := exec.Command("git", "rev-parse", "--is-shallow-repository").Output()
	return err == nil && strings.TrimSpace(string(shallow)) == "false" &&
		exec.Command("git", "rev-parse", "--verify", "--quiet", "HEAD~1").Run() == nil
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
