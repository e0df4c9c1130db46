package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/time/rate"

	"github.com/greenroom/greenroom/broker/background"
	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/internal/access"
	"github.com/greenroom/greenroom/internal/audittrail"
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
	trail      *audittrail.Trail
	// required refuses changes of which no record can be written.
	required bool
	// denials bounds the events of denied calls.
	denials *rate.Limiter
}

// New returns an auditor. It keeps events in the store, those of denied calls in the
// background. With required, Attempt fails while no record can be written.
func New(store Store, background *background.Group, log *logrus.Entry, required bool) *Auditor {
	a := &Auditor{store: store, background: background, log: log, required: required, denials: rate.NewLimiter(rate.Every(denialsEvery), denialsBurst)}
	a.trail = audittrail.New(a.write)
	return a
}

// Audit records a call: a line of the log, and an event. The log is the record; the event
// is lost when Redis does not take it.
func (a *Auditor) Audit(ctx context.Context, record staging.Audit) {
	record = hidden(record)
	a.add(record)
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

// Attempt records a call of ctx's caller that is about to change something, if the
// configuration requires a record of every change. After an error the call must be refused.
func (a *Auditor) Attempt(ctx context.Context, target string) error {
	if !a.required {
		return nil
	}
	record := recordOf(ctx, staging.AuditAttempted)
	record.Target = target
	return a.trail.Add(hidden(record), time.Now())
}

// Used records that the token of ctx's caller is in use: a line of the log alone.
func (a *Auditor) Used(ctx context.Context) { a.add(recordOf(ctx, staging.AuditUsed)) }

// Trace records a change that ctx's caller made, and of which Redis has events already, such
// as a launch: a line of the log alone.
func (a *Auditor) Trace(ctx context.Context, what, name string, after any) {
	record := recordOf(ctx, staging.AuditChanged)
	record.Target, record.After = what+" "+name, asJSON(after)
	a.add(hidden(record))
}

// Read records that ctx's caller read what may hold users' secrets: a line of the log alone.
func (a *Auditor) Read(ctx context.Context, what, name string) {
	record := recordOf(ctx, staging.AuditRead)
	record.Target = what + " " + name
	a.add(hidden(record))
}

// add adds a record to the trail. The change has been made, so a record that cannot be written
// is only reported.
func (a *Auditor) add(record staging.Audit) {
	if err := a.trail.Add(record, time.Now()); err != nil {
		a.log.WithError(err).WithFields(logrus.Fields{logfield.RequestID: record.RequestID, logfield.Operation: record.Operation}).
			Error("could not write an audit record; its chain has a gap")
	}
}

// recordOf returns the record of the call of a context.
func recordOf(ctx context.Context, outcome staging.AuditOutcome) staging.Audit {
	call := access.CallOf(ctx)
	return staging.Audit{
		Who: call.Caller.Who(), Role: string(call.Caller.Role), Operation: call.Operation, Outcome: outcome,
		Remote: call.Remote, RequestID: call.RequestID,
	}
}

// hidden returns a record without tokens, which callers may have sent as names.
func hidden(record staging.Audit) staging.Audit {
	for _, text := range []*string{&record.Operation, &record.Target, &record.Before, &record.After, &record.Reason} {
		*text = access.Hide(*text)
	}
	return record
}

// write writes a record as a line of the log, whatever the log's level is: an audit line is a
// record, not a remark.
func (a *Auditor) write(r audittrail.Record) error {
	line := a.log.WithFields(logrus.Fields{
		logfield.Audit: true, logfield.Who: r.Who, logfield.Operation: r.Operation, logfield.Outcome: r.Outcome,
		logfield.AuditChain: r.Chain, logfield.AuditSeq: r.Seq, logfield.AuditAt: r.At.Format(time.RFC3339Nano), logfield.AuditHash: r.Hash,
	})
	for field, value := range map[string]string{
		logfield.Role: r.Role, logfield.Target: r.Target, logfield.Before: r.Before, logfield.After: r.After,
		logfield.Reason: r.Reason, logfield.Remote: r.Remote, logfield.RequestID: r.RequestID, logfield.AuditPrevious: r.Previous,
	} {
		if value != "" {
			line.Data[field] = value
		}
	}
	line.Time, line.Level, line.Message = r.At, logrus.InfoLevel, "audit"
	b, err := line.Bytes()
	if err != nil {
		return fmt.Errorf("format an audit record: %w", err)
	}
	if _, err := a.log.Logger.Out.Write(b); err != nil {
		return fmt.Errorf("write an audit record to the log: %w", err)
	}
	return nil
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
	record := recordOf(ctx, outcome)
	record.Target, record.Before, record.After, record.Reason = what+" "+name, asJSON(before), asJSON(after), reason
	a.Audit(ctx, record)
}

// digest stands for a text, so that a change of the text shows.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return fmt.Sprintf("sha256:%s (%d bytes)", hex.EncodeToString(sum[:8]), len(s))
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
