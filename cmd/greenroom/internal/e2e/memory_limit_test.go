package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestABrokerKeepsToTheMemoryOfItsContainer: Go collects garbage before the kernel ends the
// process.
func TestABrokerKeepsToTheMemoryOfItsContainer(t *testing.T) {
	d := sharedDev(t)
	docker := func(stdin io.Reader, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "docker", args...)
		cmd.Stdin = stdin
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	binary, err := filepath.Abs(filepath.Join(bin, "greenroom"))
	must(t, err)
	tar := exec.Command("tar", "-c", "-C", filepath.Dir(binary), "greenroom")
	archive, err := tar.StdoutPipe()
	must(t, err)
	must(t, tar.Start())
	image := docker(archive, "import", "-")
	must(t, tar.Wait())
	t.Cleanup(func() { _ = exec.Command("docker", "rmi", image).Run() })

	const memory = 200 << 20
	container := docker(nil, "run", "-d", "--network", "host", "-m", fmt.Sprint(memory), image,
		"/greenroom", "broker", "--bind", "127.0.0.1:0", "--nomad-address", d.Nomad, "--consul-address", d.Consul, "--redis-address", d.Redis)
	t.Cleanup(func() { _ = exec.Command("docker", "rm", "-f", container).Run() })
	address := regexp.MustCompile(`address="?(127[0-9.]+:[0-9]+)"? *.*broker serves|broker serves.*address="?(127[0-9.]+:[0-9]+)`)
	var at string
	until(t, "the broker serves", func() (bool, string) {
		log := docker(nil, "logs", container)
		if found := address.FindStringSubmatch(log); found != nil {
			at = found[1] + found[2]
		}
		return at != "", log
	})
	resp, err := http.Get("http://" + at + "/metrics")
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	limit := regexp.MustCompile(`(?m)^go_gc_gomemlimit_bytes (\S+)$`).FindStringSubmatch(string(text))
	var got float64
	if limit != nil {
		_, err = fmt.Sscan(limit[1], &got)
		must(t, err)
	}
	if got < memory/2 || got >= memory {
		t.Errorf("Go's memory limit is %q in a container of %d bytes", limit, memory)
	}
}
