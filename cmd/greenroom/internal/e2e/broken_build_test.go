package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// A checker that nothing fails shows nothing. These tests build greenroom with a defect, and want
// the torture's checker to find it.

// brokenBuild builds greenroom with one line of a file replaced, and returns the program. The
// file itself is not touched: the compiler reads the replacement over it.
func brokenBuild(t *testing.T, file, from, to string) string {
	t.Helper()
	dir := t.TempDir()
	original, err := filepath.Abs(filepath.Join("../../../..", file))
	must(t, err)
	source, err := os.ReadFile(original)
	must(t, err)
	if n := strings.Count(string(source), from); n != 1 {
		t.Fatalf("%s has %d places like %q, want one: the defect must be put elsewhere", file, n, from)
	}
	broken, overlay, program := filepath.Join(dir, "broken.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "greenroom")
	must(t, os.WriteFile(broken, []byte(strings.Replace(string(source), from, to, 1)), 0o600))
	must(t, os.WriteFile(overlay, []byte(jsonText(map[string]any{"Replace": map[string]string{original: broken}})), 0o600))
	build := exec.Command("go", "build", "-buildvcs=false", "-overlay", overlay, "-o", program, "../..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build greenroom with a defect: %v\n%s", err, out)
	}
	return program
}

// TestALostWriteTakenForWonIsCaught: without Redis many callers want the same sessions at two
// brokers, and only the transactions of Consul decide. The checker finds nothing where greenroom
// is sound, and finds sessions of two users where it takes a lost operation for won.
func TestALostWriteTakenForWonIsCaught(t *testing.T) {
	t.Run("sound", func(t *testing.T) {
		if problems := contend(t, filepath.Join(bin, "greenroom")); len(problems) > 0 {
			t.Errorf("violations: %v", problems)
		}
	})
	t.Run("broken", func(t *testing.T) {
		program := brokenBuild(t, "internal/registry/fate_txn.go", "\t\treturn failed, nil\n", "\t\treturn nil, nil\n")
		problems := strings.Join(contend(t, program), "\n")
		if !strings.Contains(problems, "served [") {
			t.Errorf("the checker finds no session of two users: %q", problems)
		}
	})
}

// contend lets 32 users launch at once at two brokers of a build, with 16 sessions ready and no
// Redis, and returns what the checker finds.
func contend(t *testing.T, program string) []string {
	t.Helper()
	const ready, users = 16, 32
	c, d := startServers(t, []string{"dc1"})
	log := filepath.Join(t.TempDir(), "served.jsonl")
	must(t, os.WriteFile(log, nil, 0o666))
	image := quickImage("torture")
	image.Variables["log"] = log
	startAgent(t, c, "scaler")
	d.ask(t, "PUT", "/v1/images/torture", image, 201, nil)
	d.ask(t, "PUT", "/v1/staging/torture", staging.Config{Zone: "east", Image: "torture", DesiredSessions: ready}, 201, nil)
	d.untilReady(t, "torture", ready)
	brokers := []*agent{startAgentOf(t, program, c, "broker"), startAgentOf(t, program, c, "broker")}
	must(t, c.Redis.Kill())

	h := &history{kept: map[string]time.Time{}, asked: map[string]time.Time{}}
	var wg sync.WaitGroup
	for i := range users {
		user := fmt.Sprint("user-", i)
		wg.Go(func() {
			called := time.Now()
			body := strings.NewReader(jsonText(launch("torture", "east", user)))
			res, err := http.Post("http://"+brokers[i%len(brokers)].Address+"/v1/sessions?wait=30s", "application/json", body)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			var l launched
			if res.StatusCode == http.StatusCreated && json.NewDecoder(res.Body).Decode(&l) == nil {
				h.add(op{image: "torture", user: user, key: user, session: l.ID, origin: l.Origin, called: called, returned: time.Now()})
			}
		})
	}
	wg.Wait()
	fmt.Printf("  %d users were served by two brokers without Redis\n", len(h.ops))
	if len(h.ops) < ready {
		t.Errorf("%d of %d users were served, and %d sessions were ready", len(h.ops), users, ready)
	}
	return h.check(t, log, nil)
}
