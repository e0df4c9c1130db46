package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/time/rate"

	"github.com/greenroom/greenroom/broker/background"
	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// Bounds of the denied calls that become events. The log has all of them.
const (
	denialsEvery = 100 * time.Millisecond
	denialsBurst = 100
)

// maxAudited bounds the bytes of a resource in an event.
const maxAudited = 16 << 10

// Store keeps events.
type Store interface {
	Note(ctx context.Context, e staging.Event) error
}

// Auditor writes audit records. It may be used concurrently.
type Auditor struct {
	store      Store
	background *background.Group
	log        *logrus.Entry
	// denials bounds the events of denied calls.
	denials *rate.Limiter
}

// New returns an auditor. It keeps events in the store, those of denied calls in the
// background.
func New(store Store, background *background.Group, log *logrus.Entry) *Auditor {
	return &Auditor{store: store, background: background, log: log, denials: rate.NewLimiter(rate.Every(denialsEvery), denialsBurst)}
}

// Audit records a call: a line of the log, and an event. The log is the record; the event
// is lost when Redis does not take it.
func (a *Auditor) Audit(ctx context.Context, record staging.Audit) {
	for _, text := range []*string{&record.Operation, &record.Target, &record.Before, &record.After, &record.Reason} {
		*text = access.Hide(*text)
	}
	a.write(record)
	note := func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deadline.Redis)
		defer cancel()
		if err := a.store.Note(ctx, staging.Event{Type: staging.EventAudit, Audit: record}); err != nil {
			a.log.WithError(err).WithField(logfield.RequestID, record.RequestID).Warn("could not keep the audit event in Redis; the log has it")
		}
	}
	if record.Outcome != staging.AuditDenied {
		note()
		return
	}
	if a.denials.Allow() {
		// The answer to a denied call does not wait for its event.
		a.background.TryGo(note)
	}
}

// write writes a record's line of the log.
func (a *Auditor) write(record staging.Audit) {
	line := atInfo(a.log).WithFields(logrus.Fields{
		logfield.Audit: true, logfield.Who: record.Who, logfield.Operation: record.Operation, logfield.Outcome: record.Outcome,
	})
	for field, value := range map[string]string{
		logfield.Role: record.Role, logfield.Target: record.Target, logfield.Before: record.Before, logfield.After: record.After,
		logfield.Reason: record.Reason, logfield.Remote: record.Remote, logfield.RequestID: record.RequestID,
	} {
		if value != "" {
			line.Data[field] = value
		}
	}
	line.Info("audit")
}

// atInfo returns a log that writes lines at info whatever log's own level is: an audit
// line is a record, not a remark.
func atInfo(log *logrus.Entry) *logrus.Entry {
	l := log.Logger
	if l.IsLevelEnabled(logrus.InfoLevel) {
		return log
	}
	return (&logrus.Logger{
		Out: l.Out, Hooks: l.Hooks, Formatter: l.Formatter, ExitFunc: l.ExitFunc, Level: logrus.InfoLevel,
	}).WithFields(log.Data)
}

// Changed records a change that ctx's caller made, or may have made: before and after are
// the values, nil for none, and hold no secret. err is the write's error: with
// staging.ErrNoResource nothing was there to change, and nothing is recorded; with any
// other the outcome is unknown.
func (a *Auditor) Changed(ctx context.Context, what, name string, before, after any, err error) {
	outcome, reason := staging.AuditChanged, ""
	switch {
	case errors.Is(err, staging.ErrNoResource):
		return
	case err != nil:
		outcome, reason = staging.AuditUnknown, err.Error()
	}
	call := access.CallOf(ctx)
	a.Audit(ctx, staging.Audit{
		Who: call.Caller.Who(), Role: string(call.Caller.Role), Operation: call.Operation, Outcome: outcome,
		Target: what + " " + name, Before: asJSON(before), After: asJSON(after), Reason: reason,
		Remote: call.Remote, RequestID: call.RequestID,
	})
}

// asJSON returns a value as JSON, or its digest where that is too long.
func asJSON(v any) string {
	if v == nil {
		return ""
	}
	j, err := json.Marshal(v)
	if err != nil {
		panic("audit: an audited value always marshals: " + err.Error())
	}
	if len(j) > maxAudited {
		return fmt.Sprintf(`{"too_long":%d,"digest":%q}`, len(j), digest(string(j)))
	}
	return string(j)
}
