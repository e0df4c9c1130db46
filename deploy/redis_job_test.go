package deploy_test

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/devcluster/devtest"
)

// TestTheRedisJobKeepsWhatItHas: Nomad runs the job's Redis with its password, without eviction,
// and what it holds is there after its process was killed.
func TestTheRedisJobKeepsWhatItHas(t *testing.T) {
	server, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal(err)
	}
	const job, password = "greenroom-redis", `p<&"q $x\y é`
	nomad := func(args ...string) string {
		t.Helper()
		out, err := nomadCLI(t, args...)
		if err != nil {
			t.Fatalf("nomad %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}
	if out := nomad("job", "validate", "nomad/redis.nomad.hcl"); !strings.Contains(out, "Job validation successful") || strings.Contains(out, "Warning") {
		t.Errorf("with the defaults: %s", out)
	}
	port := devtest.FreePorts(t, 1)[0]
	nomad("var", "put", "-namespace", agentsNamespace, "-force", "nomad/jobs/"+job, "password="+password)
	nomad("job", "run", "-detach", "-var", "driver=raw_exec", "-var", "binary="+server, "-var", fmt.Sprintf("port=%d", port), "-var", "memory=64", "-var", "disk=256", "nomad/redis.nomad.hcl")
	api, err := nomadapi.NewClient(&nomadapi.Config{Address: shared.Cluster(t).NomadAddr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, _, err := api.Jobs().Deregister(job, true, &nomadapi.WriteOptions{Namespace: agentsNamespace}); err != nil {
			t.Error(err)
		}
		api.Close()
	})
	client := redis.NewClient(&redis.Options{Addr: fmt.Sprintf("127.0.0.1:%d", port), Password: password})
	t.Cleanup(func() { client.Close() })
	answers := func(ctx context.Context) error { return client.Ping(ctx).Err() }
	eventually(t, answers)

	stranger := redis.NewClient(&redis.Options{Addr: client.Options().Addr})
	t.Cleanup(func() { stranger.Close() })
	if err := stranger.Ping(t.Context()).Err(); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
		t.Errorf("without the password: %v", err)
	}
	for setting, want := range map[string]string{"maxmemory-policy": "noeviction", "appendonly": "yes"} {
		if got := client.ConfigGet(t.Context(), setting).Val()[setting]; got != want {
			t.Errorf("%s is %q, want %q", setting, got, want)
		}
	}
	process := func(ctx context.Context) int {
		for line := range strings.Lines(client.Info(ctx, "server").Val()) {
			if id, ok := strings.CutPrefix(line, "process_id:"); ok {
				n, _ := strconv.Atoi(strings.TrimSpace(id))
				return n
			}
		}
		return 0
	}
	if err := client.Set(t.Context(), "kept", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	before := process(t.Context())
	if before == 0 {
		t.Fatal("Redis does not say which process it is")
	}
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		if err := answers(ctx); err != nil {
			return err
		}
		if now := process(ctx); now == 0 || now == before {
			return fmt.Errorf("the process is still %d", now)
		}
		return nil
	})
	if kept, err := client.Get(t.Context(), "kept").Result(); err != nil || kept != "1" {
		t.Errorf("after its end it holds %q, %v", kept, err)
	}
}
