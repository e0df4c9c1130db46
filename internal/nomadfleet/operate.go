package nomadfleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// Located is a session's allocation, found by an operator who knows only the
// session's id and not its namespace.
type Located struct {
	fleet *Fleet
	alloc *nomadapi.Allocation
	// Task is the session's main task.
	Task string
	// Installation is the one whose session it is; staging.NoInstallation if its job has no
	// id.
	Installation string
}

// Locate finds a session's allocation by the session's id alone. It also finds one
// that has ended, for as long as Nomad keeps it. The error is staging.ErrNoSession
// if there is no such job of this installation that the token may read, else
// ErrUnavailable.
func (f *Fleet) Locate(ctx context.Context, id string) (*Located, error) {
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	q := f.queryOptions(ctx, nomadapi.AllNamespacesNamespace, f.opts.Region)
	q.Prefix = id
	jobs, _, err := f.nomad.Jobs().ListOptions(&nomadapi.JobListOptions{Fields: &nomadapi.JobListFields{Meta: true}}, q)
	if err != nil {
		return nil, unavailable("list the jobs with prefix "+id, err)
	}
	for _, j := range jobs {
		if j.ID != id || !isSessionID(j.ID) {
			continue
		}
		own, err := f.ownership()
		if err != nil {
			return nil, unavailable("read job "+id, err)
		}
		if !own.owns(j.Meta) {
			return nil, fmt.Errorf("%w: job %s belongs to installation %s", staging.ErrNoSession, id, foreignTo(j.Meta))
		}
		allocs, _, err := f.nomad.Jobs().Allocations(id, true, f.queryOptions(ctx, j.Namespace, f.opts.Region))
		if err != nil {
			return nil, unavailable("list the allocations of job "+id, err)
		}
		first := firstAlloc(allocs)
		if first == nil {
			return nil, unavailable("find the allocation of job "+id, errNoAllocation)
		}
		alloc, _, err := f.nomad.Allocations().Info(first.ID, f.queryOptions(ctx, j.Namespace, f.opts.Region))
		if err != nil {
			return nil, unavailable("read allocation "+first.ID+" of job "+id, err)
		}
		l := &Located{fleet: f, alloc: alloc, Installation: foreignTo(j.Meta)}
		if alloc.Job != nil {
			l.Task = alloc.Job.Meta[metaTask]
		}
		return l, nil
	}
	return nil, fmt.Errorf("%w: %s", staging.ErrNoSession, id)
}

func (l *Located) queryOptions(ctx context.Context) *nomadapi.QueryOptions {
	return l.fleet.queryOptions(ctx, l.alloc.Namespace, l.fleet.opts.Region)
}

// The two streams of a task's log.
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

// Logs copies a stream of a task's log to w, from the byte offset on. With follow it also
// copies what the task writes from then on, until ctx is done. Errors are staging.ErrNoLog,
// ErrUnavailable, or those of w.
func (l *Located) Logs(ctx context.Context, task, stream string, offset int64, follow bool, w io.Writer) error {
	return l.fleet.copyLog(ctx, l.alloc, logRange{task: task, stream: stream, origin: nomadapi.OriginStart, offset: offset, follow: follow}, l.queryOptions(ctx), w)
}

// logRange is a part of a task's log: from an offset, counted from an origin, to its end.
type logRange struct {
	task, stream, origin string
	offset               int64
	// follow: and what is written from then on.
	follow bool
}

// copyLog copies a part of a log to w, until ctx is done. Errors are those of Logs.
func (f *Fleet) copyLog(ctx context.Context, alloc *nomadapi.Allocation, r logRange, q *nomadapi.QueryOptions, w io.Writer) error {
	op := fmt.Sprintf("read %s of task %s in allocation %s", r.stream, r.task, alloc.ID)
	// This channel stops the library's reader, and so does ctx.
	stop := make(chan struct{})
	defer close(stop)
	frames, failed := f.nomad.AllocFS().Logs(alloc, r.follow, r.task, r.stream, r.origin, r.offset, stop, q)
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			if err == nil || errors.Is(err, io.EOF) || ctx.Err() != nil {
				return nil
			}
			if notFound(err) {
				return fmt.Errorf("%w of task %s: %w", staging.ErrNoLog, r.task, err)
			}
			return unavailable(op, err)
		case frame, open := <-frames:
			if !open {
				return nil
			}
			if _, err := w.Write(frame.Data); err != nil {
				return err
			}
		}
	}
}

// TerminalSize is the size of a terminal, in characters.
type TerminalSize = nomadapi.TerminalSize

// ErrEnded: a session has ended, so that nothing can be run in it.
var ErrEnded = errors.New("this session has ended")

// Errors of a command that a task's driver could not start.
var (
	ErrNoCommand     = errors.New("there is no such command")
	ErrNotExecutable = errors.New("the command cannot be executed")
)

// Attach runs a command in a task with the caller's streams and returns its exit code.
// With tty the streams are a terminal; its size is read from sizes. The error is ErrEnded for a
// session that has ended. If the command did not start, it is ErrNoCommand or ErrNotExecutable;
// if the exit code is not known for another reason, it is ErrUnavailable.
func (l *Located) Attach(ctx context.Context, task string, command []string, tty bool,
	stdin io.Reader, stdout, stderr io.Writer, sizes <-chan TerminalSize,
) (exitCode int, err error) {
	if l.alloc.ClientTerminalStatus() {
		return -1, fmt.Errorf("%w: %s", ErrEnded, l.alloc.JobID)
	}
	out, errs := &heldOutput{to: stdout}, &heldOutput{to: stderr}
	code, err := l.fleet.nomad.Allocations().Exec(ctx, l.alloc, task, tty, command, stdin, out, errs, sizes, l.queryOptions(ctx))
	why := refusedByRuntime(code, out, errs)
	if err != nil {
		why = whyNotStarted(err)
	}
	if why != nil {
		return -1, fmt.Errorf("%w in task %s of job %s: %s", why, task, l.alloc.JobID, command[0])
	}
	if written := errors.Join(out.pass(), errs.pass()); written != nil && err == nil {
		return -1, written
	}
	if err != nil {
		return -1, unavailable(fmt.Sprintf("exec in task %s of job %s", task, l.alloc.JobID), err)
	}
	return code, nil
}

// whyNotStarted returns the reason that a driver names for a command that it could not
// start; nil for all other errors. Drivers report it as text alone.
func whyNotStarted(err error) error {
	text := err.Error()
	started := strings.Contains(text, "exec: ") || strings.Contains(text, "fork/exec ")
	switch {
	case strings.Contains(text, "executable file not found"), started && strings.Contains(text, "no such file or directory"):
		return ErrNoCommand
	case started && strings.Contains(text, "permission denied"):
		return ErrNotExecutable
	}
	return nil
}
