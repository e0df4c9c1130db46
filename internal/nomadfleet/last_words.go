package nomadfleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

// Bounds of the last words of a session.
const (
	maxLastLines  = 10
	maxTaskEvents = 12
)

// LastWords reads what a session's allocation leaves to read: the last lines that a task wrote to
// its standard error, shortened and without control characters, and the newest events of its
// tasks. With task "" only the events are read. What could be read is returned beside an error,
// which is staging.ErrNoLog, also for a task whose logs are disabled, or ErrUnavailable.
func (f *Fleet) LastWords(ctx context.Context, s staging.Session, a staging.AllocFacts, task string) (staging.LastWords, error) {
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	var words staging.LastWords
	alloc, _, err := f.nomad.Allocations().Info(a.ID, f.sessionQuery(ctx, s))
	if err != nil {
		err = unavailable("read allocation "+a.ID+" of job "+s.ID, err)
	} else {
		words.TaskEvents = taskEvents(alloc.TaskStates)
	}
	if task == "" {
		return words, err
	}
	var failed error
	words.Stderr, failed = f.stderrTail(ctx, s, a, task, maxLastLines)
	return words, errors.Join(err, failed)
}

// taskEvents returns the newest events of tasks, the oldest first.
func taskEvents(tasks map[string]*nomadapi.TaskState) []string {
	type noted struct {
		at   int64
		text string
	}
	var all []noted
	for name, t := range tasks {
		for _, e := range t.Events {
			all = append(all, noted{e.Time, printable(fmt.Sprintf("%s: %s: %s", name, e.Type, display(e)))})
		}
	}
	slices.SortFunc(all, func(a, b noted) int { return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.text, b.text)) })
	all = all[max(0, len(all)-maxTaskEvents):]
	texts := make([]string, len(all))
	for i, e := range all {
		texts[i] = e.text
	}
	return texts
}
