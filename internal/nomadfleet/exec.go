package nomadfleet

import (
	"context"
	"fmt"
	"io"
	"sync"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// Exec runs a command in one of the session's tasks ("" is its main task) and
// gives its exit code. An error means that the exit code is not known: the
// command may or may not have run. When ctx is done Exec returns at once, and
// the command, if it was started, runs on: Nomad cannot take it back.
//
// stdin must not be nil. It is read only once the connection to the task
// stands, on a goroutine that ends at the next return of Read. Nothing is
// written to stdout and stderr after Exec has returned.
//
// An exit code of 0 is not to be believed on its own: Nomad's docker driver
// (1.10.5) gives it for a command that Docker has not begun yet, and that may
// still run; the busier the machine, the more often. Have the command prove its
// success, as package hook does, by another exit code. The docker driver may
// also cut the end of stdout off.
//
// Nomad writes cmd to its log: nothing secret belongs there.
func (f *Fleet) Exec(ctx context.Context, s staging.Session, task string, cmd []string,
	stdin io.Reader, stdout, stderr io.Writer,
) (exitCode int, err error) {
	alloc, task, err := f.execTarget(ctx, s, task)
	if err != nil {
		return -1, err
	}
	out, errs := &gate{to: stdout}, &gate{to: stderr}
	defer out.close()
	defer errs.close()

	type ending struct {
		code int
		err  error
	}
	ended := make(chan ending, 1)
	// The library dials without a context. Left behind by a ctx that is done,
	// this goroutine ends with its handshake, which Options.Exec bounds.
	go func() {
		code, err := f.execs.Allocations().Exec(ctx, alloc, task, false, cmd, stdin, out, errs, nil, f.of(ctx, s))
		ended <- ending{code, err}
	}()
	op := fmt.Sprintf("run a command in %s", s.ID)
	select {
	case <-ctx.Done():
		return -1, unavailable(op, context.Cause(ctx))
	case e := <-ended:
		if e.err != nil {
			return -1, unavailable(op, e.err)
		}
		return e.code, nil
	}
}

// execTarget fills in what the session does not carry.
func (f *Fleet) execTarget(ctx context.Context, s staging.Session, task string) (*nomadapi.Allocation, string, error) {
	if task == "" {
		task = s.Task
	}
	if s.AllocID != "" && s.NodeID != "" && task != "" {
		return &nomadapi.Allocation{ID: s.AllocID, NodeID: s.NodeID, Namespace: s.Namespace, JobID: s.ID}, task, nil
	}
	ctx, cancel := f.bounded(ctx)
	defer cancel()
	op := "find the allocation of " + s.ID
	id := s.AllocID
	if id == "" {
		allocs, _, err := f.nomad.Jobs().Allocations(s.ID, true, f.of(ctx, s))
		if err != nil {
			return nil, "", unavailable(op, err)
		}
		first := firstAlloc(allocs)
		if first == nil {
			return nil, "", unavailable(op, errNotPlaced)
		}
		id = first.ID
	}
	alloc, _, err := f.nomad.Allocations().Info(id, f.of(ctx, s))
	if err != nil {
		return nil, "", unavailable(op, err)
	}
	if task == "" && alloc.Job != nil {
		task = alloc.Job.Meta[metaTask]
	}
	return alloc, task, nil
}

// gate passes writes on until it is closed: the library may be writing still
// while its caller has gone on to read what was written.
type gate struct {
	mu     sync.Mutex
	to     io.Writer
	closed bool
}

// Write implements io.Writer.
func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.to == nil {
		return len(p), nil
	}
	return g.to.Write(p)
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}
