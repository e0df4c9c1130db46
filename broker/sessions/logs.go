package sessions

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// LogRequest says which part of a session's log to read.
type LogRequest struct {
	// Task is a task of the session; "" is its main one. Stream is "stdout" or "stderr".
	Task, Stream string
	// Lines is the most lines to read.
	Lines int
}

// Log reads the last lines of a session's log from Nomad, also of one that ended not long ago.
// What it returns may hold secrets of the session's user. Refusals are NotFound, NoLog, or that
// a server is unavailable.
func (s *Sessions) Log(ctx context.Context, id string, r LogRequest) (staging.LogTail, error) {
	found, err := s.Session(ctx, id)
	if err != nil {
		return staging.LogTail{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, deadline.Log)
	defer cancel()
	tail, err := s.Fleet.LogTail(ctx, found, r.Task, r.Stream, r.Lines)
	if errors.Is(err, staging.ErrNoLog) {
		detail := fmt.Sprintf("session %s has no log here", id)
		switch {
		case found.AllocID == "":
			detail += ": it is not placed yet"
		case len(tail.Tasks) > 0:
			detail += fmt.Sprintf(": task %s has not begun, or its logs are disabled; the session's tasks are %s", tail.Task, strings.Join(tail.Tasks, ", "))
		default:
			detail += ": Nomad has removed what ran"
		}
		return tail, &refusal.Error{Kind: refusal.NoLog, Detail: detail, Cause: err}
	}
	if err != nil {
		return tail, refusal.NoNomad(err)
	}
	return tail, nil
}
