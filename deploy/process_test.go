package deploy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/greenroom/greenroom/internal/devcluster"
	"github.com/greenroom/greenroom/internal/devcluster/devtest"
)

// program returns the path of a running server's program, which devcluster found or built.
func program(t testing.TB, p *devcluster.Process) string {
	t.Helper()
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// agent writes a configuration and runs an agent with it until the test ends.
func agent(t *testing.T, path, dir, flag, config string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := dir + ".hcl"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	// After the agent's end, which comes first: it leaves the mounts of its tasks' secrets.
	t.Cleanup(func() {
		if err := devcluster.UnmountBelow(dir); err != nil {
			t.Error(err)
		}
	})
	devtest.StartProcess(t, filepath.Base(dir), dir, path, "agent", flag, file)
}
