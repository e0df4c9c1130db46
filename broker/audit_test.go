package broker_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/staging"
)

// audits are the events that auditors were sent.
func (w *world) audits() (all []staging.Audit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Type == staging.EventAudit {
			all = append(all, e.Audit)
		}
	}
	return all
}

// TestDeniedCallsDoNotFillTheEvents: anybody can make them, and what else happened
// must stay readable. Changes are all kept.
func TestDeniedCallsDoNotFillTheEvents(t *testing.T) {
	w := &world{}
	b := on(w)
	const calls = 5000
	for range calls {
		b.Audit(t.Context(), staging.Audit{Who: "nobody", Operation: "listSessions", Outcome: staging.AuditDenied})
	}
	for range 300 {
		b.Audit(t.Context(), staging.Audit{Who: "token:tk-1", Operation: "putZone", Outcome: staging.AuditChanged})
	}
	b.Close()
	kept := map[staging.AuditOutcome]int{}
	for _, a := range w.audits() {
		kept[a.Outcome]++
	}
	if kept[staging.AuditDenied] == 0 || kept[staging.AuditDenied] > calls/2 || kept[staging.AuditChanged] != 300 {
		t.Errorf("of %d denied calls and 300 changes these were kept: %v", calls, kept)
	}
}

// TestWhatMayHaveBeenDoneIsAudited: a write that Consul did not answer may have
// been made all the same.
func TestWhatMayHaveBeenDoneIsAudited(t *testing.T) {
	w := &world{fail: map[string]error{"token": errors.New("no answer")}}
	b := on(w)
	ctx := access.Call{Caller: access.Caller{Role: access.Admin, Accessor: "tk-1"}, Operation: "createToken", RequestID: "req-1"}.In(t.Context())
	_, _, err := b.CreateToken(ctx, access.TokenRequest{Name: "n", Role: access.Viewer})
	var refused *refusal.Error
	if !errors.As(err, &refused) || refused.Kind != refusal.ConsulUnavailable {
		t.Fatalf("%v", err)
	}
	all := w.audits()
	if len(all) != 1 || all[0].Outcome != staging.AuditUnknown || all[0].Who != "token:tk-1" || all[0].Reason != "no answer" || all[0].RequestID != "req-1" {
		t.Errorf("auditors were told %+v", all)
	}
}

// TestAuditorsAreToldNoToken, not even one that was given as a name.
func TestAuditorsAreToldNoToken(t *testing.T) {
	w := &world{}
	b := on(w)
	_, secret := access.NewToken(access.TokenRequest{Name: "n", Role: access.Admin}, time.Now())
	b.Audit(t.Context(), staging.Audit{Who: "token:tk-1", Operation: "createToken", Outcome: staging.AuditChanged, Target: secret, After: `{"name":"` + secret + `"}`})
	b.Close()
	if all := w.audits(); len(all) != 1 || all[0].Target != "(hidden)" || all[0].After != `{"name":"(hidden)"}` {
		t.Errorf("auditors were told %+v", all)
	}
}

// TestTheRecordOfAuditorsHasNoLevel: of denied calls the log alone has all, so that one
// which is to hold errors alone has them as well.
func TestTheRecordOfAuditorsHasNoLevel(t *testing.T) {
	b := on(&world{})
	var log bytes.Buffer
	quiet := logrus.New()
	quiet.SetOutput(&log)
	quiet.SetLevel(logrus.ErrorLevel)
	b.Log = logrus.NewEntry(quiet)
	b.Audit(t.Context(), staging.Audit{Who: "nobody", Operation: "listSessions", Outcome: staging.AuditDenied})
	b.Log.Info("something else")
	b.Close()
	if got := log.String(); !strings.Contains(got, "operation=listSessions") || strings.Contains(got, "something else") {
		t.Errorf("the log has %q", got)
	}
}
