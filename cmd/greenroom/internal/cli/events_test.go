package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greenroom/greenroom/cmd/greenroom/internal/cli"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/clitest"
	"github.com/greenroom/greenroom/cmd/greenroom/internal/exit"
	"github.com/greenroom/greenroom/internal/staging"
)

func TestEvents(t *testing.T) {
	c := clitest.New(t, "")
	at := time.Date(2026, 11, 24, 6, 20, 0, 0, time.UTC)
	for i := range 30 {
		c.Broker.Happened = append(c.Broker.Happened, staging.Event{ID: fmt.Sprintf("%d-0", 100+i), Type: staging.EventReady, At: at, Session: fmt.Sprintf("gr-%d", i), Pool: "demo-east"})
	}
	c.Broker.SessionList = []staging.Session{clitest.UserSession()}
	c.Broker.Happened = append(c.Broker.Happened,
		staging.Event{ID: "200-0", Type: staging.EventHookFailed, At: at, Session: "gr-70", Hook: staging.HookAssign, User: "u-1", Stderr: "no such user\x1b[2J\n"},
		staging.Event{ID: "201-0", Type: staging.EventConditions, At: at, Pool: "demo-east", Conditions: []staging.Condition{{Type: staging.CapacityExhausted, Message: "not enough memory"}}})
	out := c.Want(exit.OK, []string{"events"}, "2026-11-24T06:20:00Z", "hook_failed  gr-70  user=u-1  hook=assign", `stderr: "no such user\x1b[2J"`, "conditions   staging=demo-east  CapacityExhausted: not enough memory")
	if n := strings.Count(out, "\n"); n != 20 || strings.Contains(out, "\x1b") {
		t.Errorf("%d lines:\n%s", n, out)
	}
	if out := c.Want(exit.OK, []string{"events", "--tail", "2", "--type", "hook_failed,ready", "--json"}); strings.Count(out, "\n") != 2 || !strings.Contains(out, `"stderr":"no such user`) {
		t.Errorf("--json:\n%s", out)
	}
	c.Want(exit.OK, []string{"events", "--type", "ended"})
	// Each flag selects, and together they select what fits all.
	for _, args := range [][]string{{"--session", "gr-70"}, {"--user", "u-1"}, {"--user", "u-1", "--session", "gr-70"}} {
		if out := c.Want(exit.OK, append([]string{"events"}, args...), "hook_failed  gr-70"); strings.Count(out, "\n") != 1 {
			t.Errorf("%v:\n%s", args, out)
		}
	}
	c.Broker.ZoneByName["east"] = staging.Zone{Name: "east", Datacenters: []string{"dc1"}}
	if out := c.Want(exit.OK, []string{"events", "--user", "u-1", "--zone", "east"}); out != "" {
		t.Errorf("of another zone:\n%s", out)
	}
	c.Want(exit.NotFound, []string{"events", "--user", "alice"}, "the name of user u-1: --user takes the id")
	c.Want(exit.NotFound, []string{"events", "--zone", "esat"}, `there is no zone "esat"`, "east")
	c.Want(exit.Usage, []string{"events", "--user", ""}, "--user: must not be empty")
	c.Want(exit.Invalid, []string{"events", "--type", "happy"}, "happy")
	c.Want(exit.Usage, []string{"events", "--tail", "-1"}, "--tail")
	c.Want(exit.Unavailable, []string{"events", "--address", "127.0.0.1:1"}, "is it running")

	// -f goes on after the last that was shown.
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var text syncBuffer
	ended := make(chan int)
	go func() {
		ended <- cli.Run(ctx, []string{"events", "-f", "--tail", "1"}, strings.NewReader(""), &text, &text)
	}()
	for !strings.Contains(text.String(), "not enough memory") {
		select {
		case code := <-ended:
			t.Fatalf("events -f ended with %d: %s", code, text.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	for c.Broker.FollowedLast() != "201-0" {
		select {
		case code := <-ended:
			t.Fatalf("events -f ended with %d: %s", code, text.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	stop()
	if code := <-ended; code != exit.OK {
		t.Errorf("events -f ended with %d: %s", code, text.String())
	}
}

// TestAuditEventsSayWhatWasDone: in words; a program gets the operation as well.
func TestAuditEventsSayWhatWasDone(t *testing.T) {
	c := clitest.New(t, "")
	c.Broker.Happened = []staging.Event{
		{ID: "202-0", Type: staging.EventAudit, Audit: staging.Audit{Who: "token:tk-1", Operation: "putStaging", Outcome: staging.AuditChanged, Target: "staging config demo"}},
		{ID: "203-0", Type: staging.EventAudit, Audit: staging.Audit{Who: "nobody", Operation: "GET /nowhere", Outcome: staging.AuditDenied}},
	}
	c.Want(exit.OK, []string{"events", "--type", "audit"}, "changing a staging config: changed by token:tk-1  target=staging config demo", "GET /nowhere: denied by nobody")
	c.Want(exit.OK, []string{"events", "--type", "audit", "--json"}, `"operation":"putStaging","action":"changing a staging config"`)
}

// syncBuffer is a buffer that several goroutines may use.
type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func TestStagingWait(t *testing.T) {
	c := clitest.New(t, "")
	c.Broker.ConfigByName["demo-east"] = staging.Config{Name: "demo-east", Zone: "east", Image: "demo", DesiredSessions: 3}
	c.Want(exit.OK, []string{"staging", "wait", "demo-east", "--ready", "1"})
	c.Want(exit.OK, []string{"staging", "wait", "demo-east", "--ready", "0"})
	c.Want(exit.Failed, []string{"staging", "wait", "demo-east", "--timeout", "1ms"},
		"demo-east has 1 of 3 ready; CapacityExhausted: not enough memory", "after 1ms of waiting")
	c.Want(exit.Failed, []string{"staging", "wait", "demo-east", "--ready", "4", "--timeout", "1ms"},
		"demo-east has 1 of 4 ready; more are waited for than the 3 that are desired now", "after 1ms of waiting")
	c.Want(exit.NotFound, []string{"staging", "wait", "none"}, "none")
	c.Want(exit.Usage, []string{"staging", "wait", "demo-east", "--ready", "-1"}, "--ready")
	c.Want(exit.Usage, []string{"staging", "wait"}, "NAME")
}
