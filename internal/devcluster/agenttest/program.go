package agenttest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// Build builds one of this module's programs, for example "greenroom", and returns its path in dir.
func Build(name, dir string) (program string, err error) {
	program = filepath.Join(dir, name)
	build := exec.Command("go", "build", "-buildvcs=false", "-o", program, "github.com/greenroom/greenroom/cmd/"+name)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return program, nil
}

// programs are those that Program has built.
var programs struct {
	mu    sync.Mutex
	dir   string
	paths map[string]string
}

// Program builds one of this module's programs, once for all tests of a package, and returns its
// path. The package's TestMain runs the tests by Around.
func Program(t testing.TB, name string) string {
	t.Helper()
	programs.mu.Lock()
	defer programs.mu.Unlock()
	if path, built := programs.paths[name]; built {
		return path
	}
	if programs.dir == "" {
		var err error
		programs.dir, err = os.MkdirTemp("", "greenroom-programs-")
		Must(t, err)
		programs.paths = map[string]string{}
	}
	path, err := Build(name, programs.dir)
	Must(t, err)
	programs.paths[name] = path
	return path
}

// Runner runs the tests of a package, as *testing.M does.
type Runner interface{ Run() int }

// Around returns a runner that runs m, and then removes what Program has built.
func Around(m Runner) Runner { return around{m} }

type around struct{ m Runner }

// Run implements Runner.
func (a around) Run() (code int) {
	defer func() {
		programs.mu.Lock()
		defer programs.mu.Unlock()
		if err := os.RemoveAll(programs.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}()
	return a.m.Run()
}

// Must fails the test at once if there is an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
