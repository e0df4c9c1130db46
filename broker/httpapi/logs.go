package httpapi

import (
	"cmp"
	"context"
	"fmt"

	"github.com/greenroom/greenroom/broker/sessions"
	"github.com/greenroom/greenroom/internal/staging"
)

// GetSessionLogs implements StrictServerInterface.
func (h *handlers) GetSessionLogs(ctx context.Context, r GetSessionLogsRequestObject) (GetSessionLogsResponseObject, error) {
	lines := cmp.Or(r.Params.Tail, staging.DefaultLogLines)
	if lines < 1 || lines > staging.MaxLogLines {
		return nil, refuseParameter(CodeInvalidParameter, "tail", fmt.Sprintf("must be between 1 and %d, is %d", staging.MaxLogLines, lines))
	}
	stream := cmp.Or(r.Params.Type, GetSessionLogsParamsTypeStdout)
	if stream != GetSessionLogsParamsTypeStdout && stream != GetSessionLogsParamsTypeStderr {
		return nil, refuseParameter(CodeInvalidParameter, "type", fmt.Sprintf("must be stdout or stderr, is %q", stream))
	}
	tail, err := h.broker.Sessions.Log(requestContext(ctx), r.ID, sessions.LogRequest{Task: r.Params.Task, Stream: string(stream), Lines: lines})
	if err != nil {
		return nil, err
	}
	h.broker.Auditor.Read(requestContext(ctx), "log of session", r.ID)
	return GetSessionLogs200JSONResponse{
		Task: tail.Task, Type: SessionLogsType(tail.Stream), Tasks: each(tail.Tasks, itself), Text: tail.Text, Truncated: tail.Truncated,
	}, nil
}
