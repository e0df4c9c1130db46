package nomadfleet

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"unicode"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/greenroom/greenroom/internal/staging"
)

const (
	// tailBytes is how much of the end of a log LastLine reads.
	tailBytes = 4096
	// maxLastLine bounds the line that it returns, in bytes.
	maxLastLine = 300
)

// LastLine returns the last line that a task of a session's allocation wrote to its standard
// error, shortened and without control characters; "" if it wrote none. Errors are staging.ErrNoLog,
// also for a task whose logs are disabled, and ErrUnavailable.
func (f *Fleet) LastLine(ctx context.Context, s staging.Session, a staging.AllocFacts, task string) (string, error) {
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	lines, err := f.stderrTail(ctx, s, a, task, 1)
	if err != nil || len(lines) == 0 {
		return "", err
	}
	return lines[0], nil
}

// stderrTail reads the last lines of a task's standard error that are not empty, at most as many
// as most, each shortened and without control characters.
func (f *Fleet) stderrTail(ctx context.Context, s staging.Session, a staging.AllocFacts, task string, most int) ([]string, error) {
	var tail bytes.Buffer
	alloc := &nomadapi.Allocation{ID: a.ID, NodeID: a.NodeID}
	err := f.copyLog(ctx, alloc, logRange{task: task, stream: Stderr, origin: nomadapi.OriginEnd, offset: tailBytes}, f.sessionQuery(ctx, s), &tail)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, fmt.Errorf("read the last lines of session %s: %w", s.ID, err)
	}
	return tailLines(tail.String(), most), nil
}

// tailLines returns the last lines of a text that are not empty.
func tailLines(text string, most int) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = printable(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines[max(0, len(lines)-most):]
}

// printable returns a line shortened and without control characters.
func printable(text string) string {
	text = strings.TrimSpace(strings.ToValidUTF8(text, "?"))
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, text)
	if len(text) > maxLastLine {
		text = strings.ToValidUTF8(text[:maxLastLine-len("…")], "") + "…"
	}
	return text
}
