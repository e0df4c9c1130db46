package devcluster

import (
	"bufio"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// servers holds the module files from which Nomad and Consul are built. They are not
// named go.mod and go.sum, because a directory with a go.mod cannot be embedded.
//
//go:embed servers/*.mod servers/*.sum
var servers embed.FS

// serverModule is a server that can be built from its published Go module.
type serverModule struct {
	name, version, pkg string
	// A program on PATH is used if its version is at least from and less than below.
	from, below version
}

var (
	nomadModule  = serverModule{"nomad", "v1.10.5", "github.com/hashicorp/nomad", version{1, 9}, version{2, 1}}
	consulModule = serverModule{"consul", "v1.19.2", "github.com/hashicorp/consul", version{1, 18}, version{2, 0}}
)

// Prepare looks up Nomad and Consul and builds missing programs, so that a later Start
// need not build them. It writes lines about a build to progress, which may be nil.
func Prepare(ctx context.Context, progress io.Writer) error {
	for _, m := range []serverModule{nomadModule, consulModule} {
		if _, err := m.program(ctx, progress); err != nil {
			return err
		}
	}
	return nil
}

// program returns the path of the server's program. It prefers a supported version
// on PATH, then the cache, and otherwise builds the program.
func (m serverModule) program(ctx context.Context, progress io.Writer) (string, error) {
	if path, err := exec.LookPath(m.name); err == nil {
		v, err := programVersion(ctx, path, "version")
		if err == nil && !v.less(m.from) && v.less(m.below) {
			printLine(progress, "using %s, which is version %d.%d", path, v[0], v[1])
			return path, nil
		}
		if err != nil {
			return "", fmt.Errorf("find the version of the %s on PATH: %w", m.name, err)
		}
		printLine(progress, "%s is version %d.%d, which is not supported (%s); using %s instead", path, v[0], v[1], m.instead(), m.version)
	}
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "servers", m.name+"-"+m.version)
	path := filepath.Join(dir, m.name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	if err := m.build(ctx, dir, path, progress); err != nil {
		return "", fmt.Errorf("no supported version of %s is on PATH, and building it failed: %w", m.name, err)
	}
	return path, nil
}

// instead says which programs on PATH save the build.
func (m serverModule) instead() string {
	return fmt.Sprintf("a %s on PATH is used instead if its version is at least %d.%d and below %d.%d", m.name, m.from[0], m.from[1], m.below[0], m.below[1])
}

// CacheDir returns the directory for built servers and demo programs:
// $GREENROOM_CACHE, or greenroom in the user's cache directory.
func CacheDir() (string, error) {
	if dir := os.Getenv("GREENROOM_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache directory: %w; set GREENROOM_CACHE", err)
	}
	return filepath.Join(base, "greenroom"), nil
}

// build builds the server in dir and moves it to path. If several processes call it
// at once, one of them builds and the others wait.
func (m serverModule) build(ctx context.Context, dir, path string, progress io.Writer) error {
	goTool, err := exec.LookPath("go")
	if err != nil {
		return errors.New("the go command is not on PATH; install Go, or a supported " + m.name)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	lock, err := waitLock(ctx, filepath.Join(dir, lockName), func() {
		printLine(progress, "waiting for another process that builds %s %s", m.name, m.version)
	})
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	for embedded, file := range map[string]string{m.name + ".mod": "go.mod", m.name + ".sum": "go.sum"} {
		b, err := servers.ReadFile("servers/" + embedded)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, file), b, 0o644); err != nil {
			return err
		}
	}
	printLine(progress, "building %s %s from its Go module, once: about 6 minutes on two cores, then the program is cached in %s", m.name, m.version, dir)
	printLine(progress, "%s", m.instead())
	fresh := path + ".new"
	cmd := exec.CommandContext(ctx, goTool, "build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", fresh, m.pkg)
	cmd.Dir = dir
	// The user's flags and workspaces are meant for the user's own modules.
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if err := runWithProgress(cmd, fmt.Sprintf("building %s", m.name), progress); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}

// progressInterval is the time between two progress lines of a long build.
const progressInterval = 15 * time.Second

// runWithProgress runs a verbose go build and reports its progress. Its error ends
// with the last lines of the build's output.
func runWithProgress(cmd *exec.Cmd, what string, progress io.Writer) error {
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	var mu sync.Mutex
	var count int
	var last []string
	var wg sync.WaitGroup
	wg.Go(func() {
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			mu.Lock()
			count++
			last = append(last[max(0, len(last)-tailLines+1):], lines.Text())
			mu.Unlock()
		}
		// If a line is too long for the scanner, the build must not block on the pipe.
		_, _ = io.Copy(io.Discard, r)
	})
	began := time.Now()
	built := make(chan struct{})
	wg.Go(func() {
		tick := time.NewTicker(progressInterval)
		defer tick.Stop()
		for {
			select {
			case <-built:
				return
			case <-tick.C:
				mu.Lock()
				n, current := count, "downloading"
				if len(last) > 0 {
					current = last[len(last)-1]
				}
				mu.Unlock()
				printLine(progress, "%s: %v, %d steps done, at %s", what, time.Since(began).Round(time.Second), n, current)
			}
		}
	})
	err := cmd.Run()
	w.Close()
	close(built)
	wg.Wait()
	if err != nil {
		return fmt.Errorf("%s: %w\n    %s", strings.Join(cmd.Args, " "), err, strings.Join(slices.Clone(last), "\n    "))
	}
	printLine(progress, "%s: done in %v", what, time.Since(began).Round(time.Second))
	return nil
}

// waitLock locks a file as tryLock does, but waits while another process holds the
// lock. It calls waiting once if it has to wait.
func waitLock(ctx context.Context, path string, waiting func()) (*os.File, error) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for first := true; ; first = false {
		lock, err := tryLock(path)
		if !errors.Is(err, errLocked) {
			return lock, err
		}
		if first {
			waiting()
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// printLine writes a line of progress to w, if w is not nil. It ignores errors: lost
// progress is no reason to stop.
func printLine(w io.Writer, format string, args ...any) {
	if w != nil {
		fmt.Fprintf(w, format+"\n", args...)
	}
}
