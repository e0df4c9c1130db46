package sessions_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/broker/sessions"
	"github.com/greenroom/greenroom/internal/staging"
)

// recorder keeps the records of an auditor.
type recorder struct {
	noAudit
	records []any
}

func (r *recorder) Trace(_ context.Context, what, name string, after any) {
	r.records = append(r.records, []any{what, name, after})
}

// runner notes the commands that are run, and returns err.
type runner struct {
	err error
	ran []staging.Hook
	// began, if set, receives when a command begins, which then waits for end.
	began, end chan struct{}
}

func (r *runner) Run(_ context.Context, _ staging.Session, command staging.Hook) error {
	if r.began != nil {
		r.began <- struct{}{}
		<-r.end
		return r.err
	}
	r.ran = append(r.ran, command)
	return r.err
}

func TestACommandRunsInAUsersSessionAlone(t *testing.T) {
	cause := errors.New("the command failed with exit code 3: no such file")
	for _, tt := range []struct {
		name    string
		state   staging.State
		command staging.Hook
		err     error
		// kind is the refusal's, "" for none; field that of an invalid value; ran whether the
		// command was handed on.
		kind, field string
		ran         bool
	}{
		{"a user's session", staging.Assigned, staging.Hook{Cmd: []string{"touch", "{secret}"}, User: "1000"}, nil, "", "", true},
		{"an unused session", staging.Ready, staging.Hook{Cmd: []string{"true"}}, nil, "session_not_assigned", "", false},
		{"an ended session", staging.Ended, staging.Hook{Cmd: []string{"true"}}, nil, "session_not_assigned", "", false},
		{"it failed", staging.Assigned, staging.Hook{Cmd: []string{"false"}}, &staging.HookError{ExitCode: 3, Cause: cause}, "command_failed", "", true},
		{"Nomad is away", staging.Assigned, staging.Hook{Cmd: []string{"true"}}, &staging.HookError{ExitCode: -1, Untouched: true, Cause: cause}, "nomad_unavailable", "", true},
		{"no program", staging.Assigned, staging.Hook{}, nil, "", "cmd", false},
		{"a NUL byte", staging.Assigned, staging.Hook{Cmd: []string{"a", "\x00"}}, nil, "", "cmd[1]", false},
		{"an option for a user", staging.Assigned, staging.Hook{Cmd: []string{"a"}, User: "-l"}, nil, "", "user", false},
		{"greenroom's variable", staging.Assigned, staging.Hook{Cmd: []string{"a"}, Environment: map[string]string{"GREENROOM_USER_ID": "x"}}, nil, "", "environment.GREENROOM_USER_ID", false},
	} {
		on := &servers{session: staging.Session{ID: "gr-1", State: tt.state, User: &staging.User{ID: "u-1"}}}
		commands, audited := &runner{err: tt.err}, &recorder{}
		room := sessions.New(sessions.Servers{Store: on, Registry: on, Fleet: on, Health: on, Commands: commands}, nil, audited, discard())
		err := room.Run(t.Context(), "gr-1", tt.command)
		refused, _ := errors.AsType[*refusal.Error](err)
		invalid, _ := errors.AsType[*staging.InvalidError](err)
		switch {
		case tt.kind != "" && (refused == nil || string(refused.Kind) != tt.kind):
			t.Errorf("%s: %v, want %s", tt.name, err, tt.kind)
		case tt.field != "" && (invalid == nil || invalid.Fields[0].Field != tt.field):
			t.Errorf("%s: %v, want %s to be refused", tt.name, err, tt.field)
		case tt.kind == "" && tt.field == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		}
		if ran := len(commands.ran) == 1; ran != tt.ran || len(audited.records) == 1 != tt.ran {
			t.Errorf("%s: ran %t, want %t, with the records %v", tt.name, ran, tt.ran, audited.records)
		}
		if tt.kind == "command_failed" && !strings.Contains(refused.Detail, "no such file") {
			t.Errorf("%s: the refusal does not say why: %s", tt.name, refused.Detail)
		}
	}
}

// TestCommandsHaveABound: each holds a connection to Nomad.
func TestCommandsHaveABound(t *testing.T) {
	on := &servers{session: staging.Session{ID: "gr-1", State: staging.Assigned, User: &staging.User{ID: "u-1"}}}
	commands := &runner{began: make(chan struct{}), end: make(chan struct{})}
	room := sessions.New(sessions.Servers{Store: on, Registry: on, Fleet: on, Health: on, Commands: commands}, nil, noAudit{}, discard())
	const bound = 8
	ended := make(chan error, bound)
	for range bound {
		go func() { ended <- room.Run(t.Context(), "gr-1", staging.Hook{Cmd: []string{"sleep"}}) }()
		<-commands.began
	}
	err := room.Run(t.Context(), "gr-1", staging.Hook{Cmd: []string{"sleep"}})
	if refused, ok := errors.AsType[*refusal.Error](err); !ok || refused.Kind != refusal.Overloaded {
		t.Errorf("one more than the bound: %v", err)
	}
	close(commands.end)
	for range bound {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
