package audit_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/greenroom/greenroom/broker/audit"
	"github.com/greenroom/greenroom/broker/background"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/audittrail"
	"github.com/greenroom/greenroom/internal/staging"
)

// kept is a store that keeps events in memory.
type kept struct {
	mu     sync.Mutex
	events []staging.Event
}

func (k *kept) Note(_ context.Context, e staging.Event) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.events = append(k.events, e)
	return nil
}

// audits are the records that were kept as events.
func (k *kept) audits() (all []staging.Audit) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, e := range k.events {
		if e.Type == staging.EventAudit {
			all = append(all, e.Audit)
		}
	}
	return all
}

// on returns an auditor that writes to a log, and a function that waits for what it does in
// the background.
func on(k *kept, log *logrus.Logger) (a *audit.Auditor, wait func()) {
	work := background.New(1024)
	return audit.New(k, work, logrus.NewEntry(log), true), work.Wait
}

func quiet() *logrus.Logger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

// TestDeniedCallsDoNotFillTheEvents: anybody can make them, and other events must stay
// readable. All changes are kept.
func TestDeniedCallsDoNotFillTheEvents(t *testing.T) {
	k := &kept{}
	a, wait := on(k, quiet())
	const calls = 5000
	for range calls {
		a.Audit(t.Context(), staging.Audit{Who: "nobody", Operation: "listSessions", Outcome: staging.AuditDenied})
	}
	for range 300 {
		a.Audit(t.Context(), staging.Audit{Who: "token:tk-1", Operation: "putZone", Outcome: staging.AuditChanged})
	}
	wait()
	found := map[staging.AuditOutcome]int{}
	for _, a := range k.audits() {
		found[a.Outcome]++
	}
	if found[staging.AuditDenied] == 0 || found[staging.AuditDenied] > calls/2 || found[staging.AuditChanged] != 300 {
		t.Errorf("of %d denied calls and 300 changes these were kept: %v", calls, found)
	}
}

// TestNoRecordHoldsAToken, not even one that was sent as a name.
func TestNoRecordHoldsAToken(t *testing.T) {
	k := &kept{}
	a, wait := on(k, quiet())
	_, secret := access.NewToken(access.TokenRequest{Name: "n", Role: access.Admin}, time.Now())
	a.Audit(t.Context(), staging.Audit{Who: "token:tk-1", Operation: "createToken", Outcome: staging.AuditChanged, Target: secret, After: `{"name":"` + secret + `"}`})
	wait()
	if all := k.audits(); len(all) != 1 || all[0].Target != "(hidden)" || all[0].After != `{"name":"(hidden)"}` {
		t.Errorf("the records are %+v", all)
	}
}

// TestTheRecordOfAuditorsHasNoLevel: only the log has all denied calls, so that a log at
// level error has them as well.
func TestTheRecordOfAuditorsHasNoLevel(t *testing.T) {
	var log bytes.Buffer
	quiet := logrus.New()
	quiet.SetOutput(&log)
	quiet.SetLevel(logrus.ErrorLevel)
	a, wait := on(&kept{}, quiet)
	a.Audit(t.Context(), staging.Audit{Who: "nobody", Operation: "listSessions", Outcome: staging.AuditDenied})
	quiet.Info("something else")
	wait()
	if got := log.String(); !strings.Contains(got, "operation=listSessions") || strings.Contains(got, "something else") {
		t.Errorf("the log has %q", got)
	}
}

// TestEveryRecordIsInTheChain, with the caller, and the log's level does not matter.
func TestEveryRecordIsInTheChain(t *testing.T) {
	var log bytes.Buffer
	l := logrus.New()
	l.SetOutput(&log)
	l.SetFormatter(&logrus.JSONFormatter{})
	l.SetLevel(logrus.ErrorLevel)
	a, wait := on(&kept{}, l)
	ctx := access.Call{Caller: access.Caller{Role: access.User, Subject: "u-1"}, Operation: "createSession", Remote: "127.0.0.9", RequestID: "r1"}.In(t.Context())
	if err := a.Attempt(ctx, "/v1/sessions"); err != nil {
		t.Fatal(err)
	}
	a.Used(ctx)
	a.Read(ctx, "log of session", "gr-1")
	a.Trace(ctx, "session", "gr-1", map[string]any{"image": "<b>&\u2028"})
	a.Changed(ctx, "zone", "east", nil, map[string]any{"name": "east"}, nil)
	wait()
	whole := log.String()
	chains, err := audittrail.Verify(strings.NewReader(whole))
	if err != nil || len(chains) != 1 || chains[0].Records != 5 || !chains[0].Begun() {
		t.Fatalf("%+v, %v\n%s", chains, err, whole)
	}
	if n := strings.Count(whole, `"who":"user:u-1"`); n != 5 {
		t.Errorf("%d of 5 records name the caller:\n%s", n, whole)
	}
	for what, changed := range map[string]string{
		"a caller": strings.Replace(whole, "user:u-1", "user:u-2", 1), "an outcome": strings.Replace(whole, `"used"`, `"changed"`, 1),
	} {
		if _, err := audittrail.Verify(strings.NewReader(changed)); err == nil {
			t.Errorf("that %s was changed does not show", what)
		}
	}
}

// TestWhatCannotBeRecordedIsRefused, but only if a record is required.
func TestWhatCannotBeRecordedIsRefused(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	l := logrus.New()
	l.SetOutput(full)
	for _, required := range []bool{true, false} {
		a := audit.New(&kept{}, background.New(1), logrus.NewEntry(l), required)
		if err := a.Attempt(t.Context(), "/v1/zones/east"); required != errors.Is(err, syscall.ENOSPC) {
			t.Errorf("required %t: %v", required, err)
		}
	}
}
