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
	var tail bytes.Buffer
	alloc := &nomadapi.Allocation{ID: a.ID, NodeID: a.NodeID}
	err := f.copyLog(ctx, alloc, logRange{task: task, stream: Stderr, origin: nomadapi.OriginEnd, offset: tailBytes}, f.sessionQuery(ctx, s), &tail)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return "", fmt.Errorf("read the last line of session %s: %w", s.ID, err)
	}
	return lastLine(tail.String()), nil
}

// lastLine returns the last line of a text that is not empty.
func lastLine(text string) string {
	text = strings.TrimSpace(strings.ToValidUTF8(text, "?"))
	text = strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
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
