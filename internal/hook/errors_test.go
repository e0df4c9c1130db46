package hook_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greenroom/greenroom/internal/hook"
	"github.com/greenroom/greenroom/internal/staging"
)

// TestReport: the result has the output, the exit code, and whether the session is still
// unused.
func TestReport(t *testing.T) {
	if err := hook.Report(staging.HookGo, hook.Result{Stdout: "done"}, nil); err != nil {
		t.Errorf("a success: %v", err)
	}
	r := hook.Result{ExitCode: 7, Stdout: "out", Stderr: "err"}
	tests := []struct {
		name      string
		err       error
		code      int
		untouched bool
	}{
		{"failed", &hook.FailedError{Hook: staging.HookGo, ExitCode: 7, LastLine: "err"}, 7, false},
		{"unknown", &hook.UnknownError{Hook: staging.HookGo, Cause: context.DeadlineExceeded}, -1, false},
		{"not started", &hook.NotStartedError{Hook: staging.HookGo, Cause: context.DeadlineExceeded}, -1, true},
		{"invalid", &staging.InvalidError{What: "go hook"}, -1, true},
	}
	for _, tt := range tests {
		var got *staging.HookError
		if err := hook.Report(staging.HookGo, r, tt.err); !errors.As(err, &got) || !errors.Is(err, tt.err) || err.Error() != tt.err.Error() {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		want := staging.HookError{Hook: staging.HookGo, ExitCode: tt.code, Untouched: tt.untouched, Stdout: "out", Stderr: "err", Cause: tt.err}
		if diff := cmp.Diff(want, *got, cmp.Comparer(func(a, b error) bool { return a == b })); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}
