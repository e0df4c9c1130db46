package nomadfleet_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"go.uber.org/goleak"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
	"github.com/greenroom/greenroom/internal/nomadfleet"
	"github.com/greenroom/greenroom/internal/staging"
)

var shared = devtest.Share(devcluster.Options{Datacenters: []string{"dc1", "dc2"}, Docker: true})

func TestMain(m *testing.M) { goleak.VerifyTestMain(shared.Around(m), goleak.IgnoreCurrent()) }

// testTimeout bounds how long a test waits. It is not an expectation.
const testTimeout = 90 * time.Second

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// rig is a Fleet on the shared Nomad, and a client of that Nomad to check its results.
type rig struct {
	*nomadfleet.Fleet
	nomad *nomadapi.Client
	addr  string
}

func newRig(t testing.TB) rig {
	t.Helper()
	addr := shared.Cluster(t).NomadAddr
	settings := nomadfleet.Settings{Address: addr}
	client, err := nomadfleet.NewClient(settings)
	if err != nil {
		t.Fatal(err)
	}
	execs, err := nomadfleet.NewExecClient(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); execs.Close() })
	return rig{nomadfleet.New(client, nomadfleet.Options{Exec: execs}), client, addr}
}

var east = staging.Zone{Name: "east", Datacenters: []string{"dc1"}}

// session returns a new staged session, which is purged when the test ends.
func (r rig) session(t testing.TB) staging.Session {
	t.Helper()
	s := staging.Session{
		ID: staging.NewSessionID(), Origin: staging.Staged, Zone: "east", Image: "app",
		Staging: "app-east", Revision: "abc", CreatedAt: time.Now().UTC(),
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		if err := r.Purge(ctx, s); err != nil {
			t.Errorf("purge: %v", err)
		}
	})
	return s
}

// start registers a session and waits until it runs or is over.
func (r rig) start(t testing.TB, s staging.Session, image staging.Image, env map[string]string) (staging.Session, staging.AllocFacts) {
	t.Helper()
	ctx := testContext(t)
	evalID, err := r.Register(ctx, staging.Spec{Session: s, Image: image, Zone: east, Environment: env})
	if err != nil {
		t.Fatal(err)
	}
	placement, err := r.Placement(ctx, s, evalID)
	if err != nil || placement.Refused != nil {
		t.Fatalf("placement: %+v, %v", placement.Refused, err)
	}
	alloc, err := r.WaitRunning(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	s.AllocID, s.NodeID, s.Address, s.Ports = alloc.ID, alloc.NodeID, alloc.Address, alloc.Ports
	return s, alloc
}

// startForExec starts a session that runs and takes commands. Rarely Nomad's client (1.10.5)
// says of a running task that it is not started, and says so until the task restarts: a
// reader of its state (AllocState) writes back what it had read before the task started.
// Then another session is started.
func (r rig) startForExec(t testing.TB, image staging.Image, env map[string]string) staging.Session {
	t.Helper()
	for {
		s, alloc := r.start(t, r.session(t), image, env)
		if !alloc.Running {
			t.Fatalf("got %+v", alloc.Failure)
		}
		_, err := r.Exec(testContext(t), s, "", []string{"/bin/sh"}, strings.NewReader("exit 0\n"), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), "not started yet") {
			return s
		}
		t.Logf("session %s runs, and takes no commands: %v", s.ID, err)
	}
}

// shell runs a script in the session's main task and returns its stdout. It repeats the
// script until the output is complete, because the docker driver may cut it off (see
// Exec). So the script must be safe to run twice.
func (r rig) shell(t testing.TB, s staging.Session, script string) string {
	t.Helper()
	const end = "\n-- end --\n"
	var out string
	eventually(t, "the output is complete", func() bool {
		var stdout, stderr bytes.Buffer
		_, err := r.Exec(testContext(t), s, "", []string{"/bin/sh"}, strings.NewReader(script+"\nprintf '"+strings.ReplaceAll(end, "\n", "\\n")+"'\n"), &stdout, &stderr)
		if err != nil && !devtest.CutOff(err) {
			t.Fatalf("%v, stderr %q", err, stderr.String())
		}
		whole := false
		out, whole = strings.CutSuffix(stdout.String(), end)
		return whole
	})
	return out
}

func busybox(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal("this test needs busybox: install busybox-static (Debian)")
	}
	return path
}

// app is an image whose session writes its environment to a file and serves a port.
func app(t testing.TB, driver string) staging.Image {
	t.Helper()
	image := staging.Image{Name: "app", Variables: map[string]string{"busybox": busybox(t)}}
	config := `command = "/bin/sh"`
	if driver == "docker" {
		image.Variables["busybox"] = "/bin/busybox"
		config = fmt.Sprintf("image = %q\nforce_pull = false\nports = [\"http\"]\ncommand = \"/bin/sh\"", dockerImage(t))
	}
	image.Jobspec = `
variable "busybox" {
  type = string
}
job "template" {
  type = "batch"
  group "main" {
    network {
      port "http" {}
    }
    service {
      name = "app"
      port = "http"
      check {
        type     = "tcp"
        interval = "1s"
        timeout  = "1s"
      }
    }
    task "app" {
      driver = "` + driver + `"
      config {
        ` + config + `
        args = ["-c", "cat /proc/self/environ > $NOMAD_TASK_DIR/environ; exec ${var.busybox} httpd -f -p $NOMAD_PORT_http"]
      }
      resources {
        cpu    = 20
        memory = 16
      }
    }
  }
}
`
	return image
}

const testImage = "greenroom-nomadfleet-test:1"

var importOnce sync.Once

// dockerImage builds an image with only busybox, so that no registry is needed.
func dockerImage(t testing.TB) string {
	t.Helper()
	importOnce.Do(func() {
		program, err := os.ReadFile(busybox(t))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		entry := func(h tar.Header, content []byte) {
			h.Size = int64(len(content))
			if err := w.WriteHeader(&h); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write(content); err != nil {
				t.Fatal(err)
			}
		}
		entry(tar.Header{Name: "bin/busybox", Mode: 0o755, Typeflag: tar.TypeReg}, program)
		for _, applet := range []string{"sh", "cat", "sleep", "printf"} {
			entry(tar.Header{Name: "bin/" + applet, Linkname: "busybox", Typeflag: tar.TypeSymlink}, nil)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "docker", "import", "-", testImage)
		cmd.Stdin = &b
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("docker import: %v\n%s", err, out)
		}
	})
	return testImage
}

// eventually polls until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	ctx := testContext(t)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			t.Fatalf("timed out waiting: %s", what)
		case <-tick.C:
		}
	}
}
