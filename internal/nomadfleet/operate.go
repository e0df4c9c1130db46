package nomadfleet

import (
	"context"
	"errors"
	"fmt"
	"io"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// Located is a session's allocation as an operator works with it, who has neither
// what a broker knows of the session nor its namespace.
type Located struct {
	fleet *Fleet
	alloc *nomadapi.Allocation
	// Task is its main task.
	Task string
}

// Locate finds the session's allocation by its id alone, also when it has ended, for
// as long as Nomad remembers it. staging.ErrNoSession when there is none, or none
// that the token may see; other errors are ErrUnavailable.
func (f *Fleet) Locate(ctx context.Context, id string) (*Located, error) {
	ctx, cancel := f.bounded(ctx)
	defer cancel()
	op := "find session " + id
	q := f.query(ctx, nomadapi.AllNamespacesNamespace, f.opts.Region)
	q.Prefix = id
	jobs, _, err := f.nomad.Jobs().List(q)
	if err != nil {
		return nil, unavailable(op, err)
	}
	for _, j := range jobs {
		if j.ID != id || !sessionID(j.ID) {
			continue
		}
		allocs, _, err := f.nomad.Jobs().Allocations(id, true, f.query(ctx, j.Namespace, f.opts.Region))
		if err != nil {
			return nil, unavailable(op, err)
		}
		first := firstAlloc(allocs)
		if first == nil {
			return nil, unavailable(op, errNotPlaced)
		}
		alloc, _, err := f.nomad.Allocations().Info(first.ID, f.query(ctx, j.Namespace, f.opts.Region))
		if err != nil {
			return nil, unavailable(op, err)
		}
		l := &Located{fleet: f, alloc: alloc}
		if alloc.Job != nil {
			l.Task = alloc.Job.Meta[metaTask]
		}
		return l, nil
	}
	return nil, fmt.Errorf("%w: %s", staging.ErrNoSession, id)
}

func (l *Located) query(ctx context.Context) *nomadapi.QueryOptions {
	return l.fleet.query(ctx, l.alloc.Namespace, l.fleet.opts.Region)
}

// The two streams of a task's log.
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

// ErrNoLog says that Nomad answers and has no such log.
var ErrNoLog = errors.New("there is no log")

// Logs copies a stream of a task's log to w: all that there is, and with follow also
// what comes, until ctx is done. An error is ErrNoLog, ErrUnavailable, or w's.
func (l *Located) Logs(ctx context.Context, task, stream string, follow bool, w io.Writer) error {
	op := fmt.Sprintf("read the %s of task %s", stream, task)
	// The library's reader is stopped by this channel, and by ctx.
	stop := make(chan struct{})
	defer close(stop)
	frames, failed := l.fleet.nomad.AllocFS().Logs(l.alloc, follow, task, stream, nomadapi.OriginStart, 0, stop, l.query(ctx))
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			if err == nil || errors.Is(err, io.EOF) || ctx.Err() != nil {
				return nil
			}
			if notFound(err) {
				return fmt.Errorf("%w of task %s: %w", ErrNoLog, task, err)
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

// TerminalSize is that of a caller's terminal, in characters.
type TerminalSize = nomadapi.TerminalSize

// Attach runs a command in a task with the caller's streams, and gives its exit code.
// With tty they are a terminal, whose sizes are read from the channel. An error means
// that the exit code is not known, and is ErrUnavailable.
func (l *Located) Attach(ctx context.Context, task string, command []string, tty bool,
	stdin io.Reader, stdout, stderr io.Writer, sizes <-chan TerminalSize,
) (exitCode int, err error) {
	code, err := l.fleet.nomad.Allocations().Exec(ctx, l.alloc, task, tty, command, stdin, stdout, stderr, sizes, l.query(ctx))
	if err != nil {
		return -1, unavailable("run a command in "+l.alloc.JobID, err)
	}
	return code, nil
}
