package devcluster

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// scrub removes what the tasks of the cluster in dir left behind: processes with its
// marker, containers that mount its files, and mounts below it. The cluster's servers
// must have ended. After an orderly stop, only the mounts of ended allocations are left.
func scrub(ctx context.Context, dir string, docker bool) error {
	err := killMarked(ctx, dir)
	if docker {
		err = errors.Join(err, removeContainers(ctx, dir))
	}
	return errors.Join(err, UnmountBelow(dir))
}

// killMarked kills all processes with the cluster's marker in their environment and
// waits until they are gone. Such a process may start another one meanwhile, so
// killMarked repeats until it finds none.
func killMarked(ctx context.Context, dir string) error {
	var left progress
	for {
		pids := marked(dir)
		if len(pids) == 0 {
			return nil
		}
		if !left.goesOn(len(pids)) {
			return fmt.Errorf("processes %v of the cluster in %s do not end", pids, dir)
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("kill process %d of the cluster in %s: %w", pid, dir, err)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("processes %v of the cluster in %s are still running: %w", pids, dir, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// marked returns the ids of the processes that belong to the cluster in dir. A zombie
// has no environment and is not listed.
func marked(dir string) []int {
	want := []byte(marker + "=" + dir)
	var pids []int
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		// An unreadable environment belongs to another user or to a process that has just
		// ended. Neither is ours.
		b, err := os.ReadFile(file)
		if err != nil || !slices.ContainsFunc(bytes.Split(b, []byte{0}), func(kv []byte) bool { return bytes.Equal(kv, want) }) {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(file, "/")[2]); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// progress is how far a removal has come. A removal takes as long as it needs, on a slow machine
// many minutes: it has failed once scrubPatience has passed without anything being removed.
type progress struct {
	left int
	at   time.Time
}

// scrubPatience is also how long one call of Docker may take.
const scrubPatience = 2 * time.Minute

// goesOn reports whether to go on while so many are left.
func (p *progress) goesOn(left int) bool {
	if p.at.IsZero() || left < p.left {
		p.left, p.at = left, time.Now()
	}
	return time.Since(p.at) < scrubPatience
}

// maxRemovals limits how many containers one call of Docker removes, so that each ends soon.
const maxRemovals = 8

// removeContainers removes the containers of Nomad allocations whose files are
// below dir, and returns once none is left. Docker may be removing some for Nomad already, and
// refuses those.
func removeContainers(ctx context.Context, dir string) error {
	var left progress
	for {
		ids, err := containers(ctx, dir)
		if err != nil || len(ids) == 0 {
			return err
		}
		var failures error
		for some := range slices.Chunk(ids, maxRemovals) {
			failures = errors.Join(failures, removeSome(ctx, some))
		}
		switch {
		case ctx.Err() != nil || failures != nil && !left.goesOn(len(ids)):
			return fmt.Errorf("remove containers: %w", errors.Join(ctx.Err(), failures))
		case failures != nil:
			time.Sleep(retryPause)
		}
	}
}

// retryPause is the time between two tries to remove what Docker refused to.
const retryPause = 100 * time.Millisecond

func removeSome(ctx context.Context, ids []string) error {
	ctx, cancel := context.WithTimeout(ctx, scrubPatience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "docker", append([]string{"rm", "--force", "--volumes"}, ids...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// containers returns the ids of the containers, running or not, that mount files below
// dir.
func containers(ctx context.Context, dir string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, scrubPatience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "docker", "ps", "--all", "--no-trunc", "--filter", "label=com.hashicorp.nomad.alloc_id",
		"--format", "{{.ID}}\t{{.Mounts}}").Output()
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	var ids []string
	for line := range strings.Lines(string(out)) {
		id, mounts, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if slices.ContainsFunc(strings.Split(mounts, ","), func(m string) bool { return strings.HasPrefix(m, dir+"/") }) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// UnmountBelow unmounts everything below dir, innermost first: a Nomad client that has ended
// leaves the secrets of its allocations mounted.
func UnmountBelow(dir string) error {
	points, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range slices.Backward(points) {
		// Detach, so that a file that is still open does not make the unmount fail.
		if err := syscall.Unmount(p, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", p, err))
		}
	}
	return errors.Join(errs...)
}

// mountsBelow returns the mount points below dir in the order of their mounting.
func mountsBelow(dir string) ([]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// In this file the kernel escapes blanks and backslashes as octal numbers.
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var points []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			continue
		}
		if p := unescape.Replace(fields[4]); strings.HasPrefix(p, dir+"/") {
			points = append(points, p)
		}
	}
	return points, lines.Err()
}

// sweepStale removes what is left of temporary clusters after their process was killed.
// A live cluster holds the lock of its directory.
func sweepStale(ctx context.Context) {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), tempPrefix+"*"))
	for _, dir := range dirs {
		dir, err := filepath.EvalSymlinks(dir)
		if err != nil {
			continue
		}
		// If there is no lock file, the owner is just creating or removing the directory.
		if _, err := os.Stat(filepath.Join(dir, lockName)); err != nil {
			continue
		}
		lock, err := tryLock(filepath.Join(dir, lockName))
		if err != nil {
			continue
		}
		// If this fails, the next Start tries again.
		if scrub(ctx, dir, DockerAvailable(ctx) == nil) == nil {
			_ = os.RemoveAll(dir)
		}
		lock.Close()
	}
}
