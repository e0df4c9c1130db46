package deploy_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/devcluster/agenttest"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
)

// maxBinary is how large the program may be: it is fetched by every node that runs an agent.
const maxBinary = 45 << 20

// TestTheProgramIsReproducible: whoever builds the same source, wherever it lies, gets the same
// bytes, so that a checksum says which source a program is of. It is one static file.
func TestTheProgramIsReproducible(t *testing.T) {
	here, elsewhere := filepath.Join(t.TempDir(), "bin"), filepath.Join(t.TempDir(), "bin")
	first := makeProgram(t, "..", here)
	second := makeProgram(t, copyOfTheSource(t), elsewhere)
	a, b := sha256.Sum256(first), sha256.Sum256(second)
	if a != b {
		t.Errorf("two builds differ: %x, %d bytes, and %x, %d bytes", a, len(first), b, len(second))
	}
	fmt.Printf("greenroom has %.1f million bytes\n", float64(len(first))/1e6)
	if len(first) > maxBinary {
		t.Errorf("greenroom has %d bytes, more than %d: look at what is linked for nothing", len(first), maxBinary)
	}
	if out, err := exec.CommandContext(patient(t), "ldd", filepath.Join(here, "greenroom")).CombinedOutput(); err == nil || !strings.Contains(string(out), "not a dynamic executable") {
		t.Errorf("it is not static: %v\n%s", err, out)
	}
	for _, path := range []string{"/root/", t.TempDir()} {
		if bytes.Contains(first, []byte(path)) {
			t.Errorf("it has a path of the machine that built it: %s", path)
		}
	}
}

// makeProgram runs make build in a checkout and returns the program.
func makeProgram(t *testing.T, source, bin string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	run := exec.CommandContext(ctx, "make", "-s", "-C", source, "build", "BIN="+bin, "VERSION=v0-test", "COMMIT=0123456789", "DATE=2026-01-02T03:04:05Z")
	run.Env = devtest.PlainEnvironment()
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("make build: %v\n%s", err, out)
	}
	return []byte(read(t, filepath.Join(bin, "greenroom")))
}

// copyOfTheSource copies what is in the checkout to a directory of another name.
func copyOfTheSource(t *testing.T) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "a copy")
	if err := os.Mkdir(to, 0o755); err != nil {
		t.Fatal(err)
	}
	copied := exec.CommandContext(patient(t), "sh", "-c", `cd .. && tar -c --exclude=./bin --exclude=./.git . | tar -x -C "$1"`, "sh", to)
	if out, err := copied.CombinedOutput(); err != nil {
		t.Fatalf("copy the source: %v\n%s", err, out)
	}
	return to
}

// TestTheImageRunsAsNobody: the image is built without a registry, from the program and the
// certificate authorities alone; a broker runs in it as nobody, on a file system that it cannot
// write, and reaches its servers.
func TestTheImageRunsAsNobody(t *testing.T) {
	devtest.Docker(t)
	c := shared.Cluster(t)
	bin := t.TempDir()
	makeProgram(t, "..", bin)
	name := fmt.Sprintf("greenroom:test-%d", os.Getpid())
	build := exec.CommandContext(patient(t), "image/build", filepath.Join(bin, "greenroom"))
	build.Env = append(os.Environ(), "IMAGE="+name)
	if out, err := build.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != name {
		t.Fatalf("build the image: %v\n%s", err, out)
	}
	container := fmt.Sprintf("greenroom-test-%d", os.Getpid())
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_ = exec.CommandContext(ctx, "docker", "rm", "--force", container).Run()
		if out, err := exec.CommandContext(ctx, "docker", "rmi", "--force", name).CombinedOutput(); err != nil {
			t.Errorf("remove the image: %v\n%s", err, out)
		}
	})
	if out := docker(t, "run", "--rm", "--read-only", name, "version"); !strings.Contains(out, "v0-test") {
		t.Errorf("greenroom version in the image: %s", out)
	}
	emptyRedis(t)
	address := fmt.Sprintf("127.0.0.1:%d", devtest.FreePorts(t, 1)[0])
	docker(t, "run", "--detach", "--name", container, "--read-only", "--network", "host", name, "broker", "--bind", address,
		"--nomad-address", c.NomadAddr, "--consul-address", c.ConsulAddr, "--redis-address", c.RedisAddr)
	eventually(t, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/v1/health/ready", http.NoBody)
		if err != nil {
			return err
		}
		answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
		if err != nil {
			return fmt.Errorf("%w\n%s", err, docker(t, "logs", container))
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("the broker is not ready: %s\n%s", answer.Status, docker(t, "logs", container))
		}
		return nil
	})
	pid := strings.TrimSpace(docker(t, "inspect", "--format", "{{.State.Pid}}", container))
	if status := read(t, "/proc/"+pid+"/status"); !strings.Contains(status, "Uid:\t65534\t65534") {
		t.Errorf("the broker does not run as nobody:\n%s", status)
	}
}

func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(patient(t), "docker", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestTheUnitsAreValid: systemd takes the units, finds nothing to say about them, and rates them
// as well confined.
func TestTheUnitsAreValid(t *testing.T) {
	program := agenttest.Program(t, "greenroom")
	unit := strings.ReplaceAll(read(t, "systemd/greenroom@.service"), "/usr/local/bin/greenroom", program)
	for _, agent := range agents {
		t.Run(agent, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "greenroom@"+agent+".service")
			if err := os.WriteFile(file, []byte(unit), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.CommandContext(patient(t), "systemd-analyze", "verify", "--man=no", file).CombinedOutput(); err != nil || strings.Contains(string(out), "greenroom") {
				t.Errorf("systemd-analyze verify: %v\n%s", err, out)
			}
			// Twenty stands for an exposure of 2.0 of 10.
			if out, err := exec.CommandContext(patient(t), "systemd-analyze", "security", "--offline=yes", "--threshold=20", file).CombinedOutput(); err != nil {
				t.Errorf("systemd-analyze security: %v\n%s", err, out)
			}
			// What systemd runs is a command line of the agent's: without its file, that is what it lacks.
			out, err := exec.CommandContext(patient(t), program, agent, "--config", filepath.Join(t.TempDir(), "greenroom.hcl")).CombinedOutput()
			if err == nil || !strings.Contains(string(out), "greenroom.hcl") {
				t.Errorf("greenroom %s with no file: %v\n%s", agent, err, out)
			}
		})
	}
}
