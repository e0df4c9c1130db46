package nomadfleet

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// maxLogTail bounds what LogTail reads of the end of a log, in bytes.
const maxLogTail = 64 << 10

// LogTail reads the last lines of a stream of a task's log, at most as many as asked for and no
// more than 64 KiB: also of a session that has ended, for as long as Nomad keeps its allocation.
// The session is named by its id, namespace, region, allocation and main task, which is read
// where task is "". Errors are staging.ErrNoLog, also where the allocation is gone or has no such task,
// and ErrUnavailable.
func (f *Fleet) LogTail(ctx context.Context, s staging.Session, task, stream string, lines int) (staging.LogTail, error) {
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	if task == "" {
		task = s.Task
	}
	tail := staging.LogTail{Task: task, Stream: stream}
	if s.AllocID == "" {
		return tail, fmt.Errorf("%w of session %s: it is not placed yet", staging.ErrNoLog, s.ID)
	}
	alloc, _, err := f.nomad.Allocations().Info(s.AllocID, f.sessionQuery(ctx, s))
	if notFound(err) {
		return tail, fmt.Errorf("%w of session %s: Nomad has removed its allocation: %w", staging.ErrNoLog, s.ID, err)
	}
	if err != nil {
		return tail, unavailable("read allocation "+s.AllocID+" of job "+s.ID, err)
	}
	tail.Tasks = slices.Sorted(maps.Keys(alloc.TaskStates))
	if !slices.Contains(tail.Tasks, task) {
		return tail, fmt.Errorf("%w of task %q: session %s has the tasks %s", staging.ErrNoLog, task, s.ID, strings.Join(tail.Tasks, ", "))
	}
	var text bytes.Buffer
	// One byte more shows whether the log is longer.
	part := logRange{task: task, stream: stream, origin: nomadapi.OriginEnd, offset: maxLogTail + 1}
	if err := f.copyLog(ctx, alloc, part, f.sessionQuery(ctx, s), &text); err != nil {
		return tail, err
	}
	if ctx.Err() != nil {
		return tail, unavailable("read the log of session "+s.ID, context.Cause(ctx))
	}
	tail.Text, tail.Truncated = lastLines(text.String(), lines, maxLogTail)
	return tail, nil
}

// lastLines returns the last lines of a text, at most as many bytes as most, without what is no
// text, and whether there was more before them. A line that alone is too long is cut at its
// beginning.
func lastLines(text string, lines, most int) (last string, more bool) {
	begin := max(0, len(text)-most)
	if begin > 0 {
		// A line of which only the end would be shown is left out, unless it is the only one.
		if next := strings.IndexByte(text[begin:], '\n') + 1; next > 0 && begin+next < len(text) {
			begin += next
		}
	}
	from := len(text)
	if strings.HasSuffix(text, "\n") {
		from--
	}
	for range lines {
		if from = strings.LastIndexByte(text[:max(from, 0)], '\n'); from < 0 {
			break // there are not more lines
		}
	}
	begin = max(begin, from+1)
	return strings.ToValidUTF8(text[begin:], "�"), begin > 0
}
