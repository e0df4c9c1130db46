package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/time/rate"

	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/logfield"
	"github.com/greenroom/greenroom/internal/staging"
)

// Denied calls that are kept as events: anybody can make them, and they must not
// push everything else out of what Redis keeps. The log has all of them.
const (
	denialsEvery = 100 * time.Millisecond
	denialsBurst = 100
)

// maxAudited bounds what an event has of a resource.
const maxAudited = 16 << 10

// Audit tells auditors of a call: a line of the log, and an event. A log that is
// kept is the record; the event is lost when Redis does not take it.
func (b *Broker) Audit(ctx context.Context, a staging.Audit) {
	for _, text := range []*string{&a.Operation, &a.Target, &a.Before, &a.After, &a.Reason} {
		*text = access.Hide(*text)
	}
	line := audible(b.Log).WithFields(logrus.Fields{
		logfield.Audit: true, logfield.Who: a.Who, logfield.Operation: a.Operation, logfield.Outcome: a.Outcome,
	})
	for field, value := range map[string]string{
		logfield.Role: a.Role, logfield.Target: a.Target, logfield.Before: a.Before, logfield.After: a.After,
		logfield.Reason: a.Reason, logfield.Remote: a.Remote, logfield.RequestID: a.RequestID,
	} {
		if value != "" {
			line.Data[field] = value
		}
	}
	line.Info("audit")
	note := func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
		defer cancel()
		if err := b.Store.Note(ctx, staging.Event{Type: staging.EventAudit, Audit: a}); err != nil {
			b.Log.WithError(err).WithField(logfield.RequestID, a.RequestID).Warn("could not keep the audit event; the log has it")
		}
	}
	if a.Outcome != staging.AuditDenied {
		note()
		return
	}
	if b.denials.Allow() {
		// Who is denied does not wait for it.
		b.behindIfRoom(note)
	}
}

// audible is a log that has lines for auditors whatever its level is: it is their record.
func audible(log *logrus.Entry) *logrus.Entry {
	l := log.Logger
	if l.IsLevelEnabled(logrus.InfoLevel) {
		return log
	}
	return (&logrus.Logger{
		Out: l.Out, Hooks: l.Hooks, Formatter: l.Formatter, ExitFunc: l.ExitFunc, Level: logrus.InfoLevel,
	}).WithFields(log.Data)
}

func newDenials() *rate.Limiter { return rate.NewLimiter(rate.Every(denialsEvery), denialsBurst) }

// changed tells auditors of a change that was made, or may have been: before and
// after are what there was and is, nil for nothing, and hold no secret. err is the
// write's.
func (b *Broker) changed(ctx context.Context, what, name string, before, after any, err error) {
	outcome, reason := staging.AuditChanged, ""
	switch {
	case errors.Is(err, staging.ErrNoResource):
		return // nothing was there to change
	case err != nil:
		outcome, reason = staging.AuditUnknown, err.Error()
	}
	call := access.CallOf(ctx)
	b.Audit(ctx, staging.Audit{
		Who: call.Caller.Who(), Role: string(call.Caller.Role), Operation: call.Operation, Outcome: outcome,
		Target: what + " " + name, Before: audited(before), After: audited(after), Reason: reason,
		Remote: call.Remote, RequestID: call.RequestID,
	})
}

// audited is a value as JSON, and what is said instead where that is too long.
func audited(v any) string {
	if v == nil {
		return ""
	}
	j, err := json.Marshal(v)
	if err != nil {
		panic("broker: what is audited always marshals: " + err.Error())
	}
	if len(j) > maxAudited {
		return fmt.Sprintf(`{"too_long":%d,"digest":%q}`, len(j), digest(string(j)))
	}
	return string(j)
}

// orNil keeps a nil pointer from becoming an interface that is not nil.
func orNil[T any](v *T) any {
	if v == nil {
		return nil
	}
	return v
}
