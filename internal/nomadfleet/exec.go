package nomadfleet

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// Exec runs a command in one of the session's tasks ("" is its main task) and
// returns its exit code. If the exit code is not known, the error is ErrUnavailable,
// and the command may or may not have run. Exec returns at once when ctx is done. A
// command that was started keeps running then, because Nomad cannot cancel it.
//
// stdin must not be nil. It is read only after the connection to the task is open, on
// a goroutine that ends when the current Read returns. Nothing is written to stdout
// and stderr after Exec has returned.
//
// Do not trust an exit code of 0 alone: on a busy machine, Nomad's docker driver
// (1.10.5) returns it for a command that Docker has not started yet, and that may
// still run. Let the command prove its success with another exit code, as package
// hook does. The docker driver may also cut off the end of stdout.
//
// Nomad writes cmd to its log, so cmd must hold no secret.
func (f *Fleet) Exec(ctx context.Context, s staging.Session, task string, cmd []string,
	stdin io.Reader, stdout, stderr io.Writer,
) (exitCode int, err error) {
	alloc, task, err := f.execTarget(ctx, s, task)
	if err != nil {
		return -1, err
	}
	out, errs := &detachableWriter{dst: stdout}, &detachableWriter{dst: stderr}
	defer out.detach()
	defer errs.detach()

	type result struct {
		code int
		err  error
	}
	results := make(chan result, 1)
	// The library dials without a context. If ctx is done first, this goroutine
	// continues until its handshake ends, which Options.Exec bounds.
	go func() {
		code, err := f.execClient.Allocations().Exec(ctx, alloc, task, false, cmd, stdin, out, errs, nil, f.sessionQuery(ctx, s))
		results <- result{code, err}
	}()
	op := fmt.Sprintf("exec in task %s of job %s", task, s.ID)
	select {
	case <-ctx.Done():
		return -1, unavailable(op, context.Cause(ctx))
	case e := <-results:
		if e.err != nil {
			return -1, unavailable(op, execRefusal(s, e.err))
		}
		return e.code, nil
	}
}

// execRefusal makes Nomad's refusal of a token an ErrExecDenied that names the rights, and returns
// any other error as it is. Nomad closes the connection with that text alone, before it starts anything,
// and does not say which right is missing.
func execRefusal(s staging.Session, err error) error {
	text := strings.TrimSpace(err.Error())
	if !Denied(err) && !strings.HasSuffix(text, deniedText) {
		return err
	}
	namespace := cmp.Or(s.Namespace, nomadapi.DefaultNamespace)
	return fmt.Errorf("%w: in namespace %q it needs alloc-exec, and for a driver without isolation, such as raw_exec, alloc-node-exec, too (%s)",
		staging.ErrExecDenied, namespace, text)
}

// deniedText is Nomad's refusal of a token.
const deniedText = "Permission denied"

// execTarget returns the allocation and the task to run a command in. It reads from
// Nomad what the session's fields do not hold.
func (f *Fleet) execTarget(ctx context.Context, s staging.Session, task string) (*nomadapi.Allocation, string, error) {
	if task == "" {
		task = s.Task
	}
	// These fields were observed in a job of this installation: the scaler keeps them of no
	// other one, and Redis is checked to belong to this one. So the job need not be read,
	// which would cost each assign hook a call.
	if s.AllocID != "" && s.NodeID != "" && task != "" {
		return &nomadapi.Allocation{ID: s.AllocID, NodeID: s.NodeID, Namespace: s.Namespace, JobID: s.ID}, task, nil
	}
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	id := s.AllocID
	if id == "" {
		allocs, _, err := f.nomad.Jobs().Allocations(s.ID, true, f.sessionQuery(ctx, s))
		if err != nil {
			return nil, "", unavailable("list the allocations of job "+s.ID, err)
		}
		first := firstAlloc(allocs)
		if first == nil {
			return nil, "", unavailable("find the allocation of job "+s.ID, errNoAllocation)
		}
		id = first.ID
	}
	alloc, _, err := f.nomad.Allocations().Info(id, f.sessionQuery(ctx, s))
	if err != nil {
		return nil, "", unavailable("read allocation "+id+" of job "+s.ID, err)
	}
	if alloc.Job != nil {
		own, err := f.ownership()
		if err != nil {
			return nil, "", unavailable("read allocation "+id+" of job "+s.ID, err)
		}
		if !own.owns(alloc.Job.Meta) {
			return nil, "", unavailable("exec in job "+s.ID, errForeignJob)
		}
		task = cmp.Or(task, alloc.Job.Meta[metaTask])
	}
	return alloc, task, nil
}

// detachableWriter passes writes on to dst until it is detached. The library may
// still write after Exec has returned, while Exec's caller reads what was written.
type detachableWriter struct {
	mu       sync.Mutex
	dst      io.Writer
	detached bool
}

// Write implements io.Writer.
func (g *detachableWriter) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.detached || g.dst == nil {
		return len(p), nil
	}
	return g.dst.Write(p)
}

func (g *detachableWriter) detach() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.detached = true
}
