package staging

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"time"
)

// MaxEndWarning is how long before its time limit a session's user is warned, where its pre_end
// hook names no other time; of a short limit it is a fifth.
const MaxEndWarning = 5 * time.Minute

// maxExtensions is how many extensions of a session are remembered by their keys, the last ones:
// they are in its fate record.
const maxExtensions = 32

// Extension is a session's extension that was granted to a request with an Idempotency-Key.
type Extension struct {
	// Key is a hash of the request's key: a repeat extends nothing.
	Key string `json:"key"`
	// Asked is what the request asked for, as text, so that the same key for another extension is
	// noticed.
	Asked string `json:"asked"`
}

// ExtendBy is a request for more time than a session's time limit: By a duration, or Until a time,
// of which just one is set.
type ExtendBy struct {
	By    Duration
	Until time.Time
	// Key is the request's Idempotency-Key; "" for none. A repeat of a request with By and no key
	// extends again; one with Until never does.
	Key string
}

// Validate returns an *InvalidError, or nil.
func (r ExtendBy) Validate() error {
	var p problems
	switch {
	case (r.By == 0) == r.Until.IsZero():
		p.add("by", "must be given, or else until: just one of them")
	case r.Until.IsZero() && r.By < MinTerm:
		p.add("by", "must be at least %s, is %s", MinTerm.Brief(), r.By.Brief())
	}
	return p.err("extension")
}

// asked is the request as text.
func (r ExtendBy) asked() string {
	if r.Until.IsZero() {
		return "by " + r.By.String()
	}
	return "until " + r.Until.UTC().Format(time.RFC3339Nano)
}

// ExtensionOutcome is what became of a request for an extension.
type ExtensionOutcome int

// The outcomes.
const (
	// Extended: the fate has the later end, and must be stored.
	Extended ExtensionOutcome = iota
	// ExtendedBefore: the request was granted before, or the session ends no sooner anyway. Nothing
	// is to be stored.
	ExtendedBefore
	// ExtensionKeyReused: the key is that of another extension of the session.
	ExtensionKeyReused
	// BeyondMaxExtension: the session would be extended by more than its terms allow.
	BeyondMaxExtension
)

// Extend returns the fate record of a session whose user asks for more time. ends is when it ends
// now. It is pure: the caller stores the record by compare-and-set, so that of two requests at once
// both count.
func (f Fate) Extend(ends time.Time, r ExtendBy) (Fate, ExtensionOutcome) {
	key := ""
	if r.Key != "" {
		sum := sha256.Sum256([]byte(r.Key))
		key = hex.EncodeToString(sum[:8])
		if i := slices.IndexFunc(f.Extensions, func(e Extension) bool { return e.Key == key }); i >= 0 {
			if f.Extensions[i].Asked != r.asked() {
				return f, ExtensionKeyReused
			}
			return f, ExtendedBefore
		}
	}
	by := r.By
	if !r.Until.IsZero() {
		if by = Duration(r.Until.Sub(ends)); by <= 0 {
			return f, ExtendedBefore
		}
	}
	// Not the sum, which may overflow.
	if by > f.Terms.MaxExtension-f.Terms.Extended {
		return f, BeyondMaxExtension
	}
	f.Terms.Extended += by
	if key != "" {
		f.Extensions = append(slices.Clone(f.Extensions), Extension{Key: key, Asked: r.asked()})
		f.Extensions = f.Extensions[max(0, len(f.Extensions)-maxExtensions):]
	}
	return f, Extended
}

// ExtendableUntil returns the latest end that an extension may give a session; zero where it
// cannot be extended, or no further.
func (s Session) ExtendableUntil() time.Time {
	if left := s.Terms.MaxExtension - s.Terms.Extended; left > 0 && !s.EndsAt().IsZero() {
		return s.EndsAt().Add(left.Std())
	}
	return time.Time{}
}

// EndWarning returns how long before its time limit the session's user is warned.
func (s Session) EndWarning() time.Duration {
	if s.Hooks != nil && s.Hooks.PreEnd != nil && s.Hooks.PreEnd.Before > 0 {
		return s.Hooks.PreEnd.Before.Std()
	}
	return min(MaxEndWarning, s.Terms.TimeLimit.Std()/5)
}

// EndWarningDue returns from when on its user is to be warned that its time limit is near; zero
// for never.
func (s Session) EndWarningDue() time.Time {
	end := s.EndsAt()
	if end.IsZero() {
		return end
	}
	return end.Add(-s.EndWarning())
}

// EndWarned reports whether its user was warned of its time limit as it is: not of one that was
// extended since.
func (s Session) EndWarned() bool {
	return !s.EndWarnedOf.IsZero() && s.EndWarnedOf.UnixMilli() == s.EndsAt().UnixMilli()
}

// End is an end of a user's session: one that comes, or that has begun.
type End struct {
	// At is when it comes; zero for one that has begun.
	At time.Time
	// Reason is the term that ends it, such as session_time_limit; of one that has begun it says
	// why in words.
	Reason string
}

// Variables returns the variables by which a pre_end or pre_stop hook learns of the end.
func (e End) Variables() map[string]string {
	env := map[string]string{"GREENROOM_END_REASON": e.Reason}
	if !e.At.IsZero() {
		env["GREENROOM_ENDS_AT"] = e.At.UTC().Format(time.RFC3339)
	}
	return env
}

// PreEndDue returns the end for which the session's pre_end hook is to run, and from when on: its
// time limit, or its idle_expiration once its user was warned of that. An end without a time is
// none.
func (s Session) PreEndDue() (end End, from time.Time) {
	if idle := s.IdleEndsAt(); !idle.IsZero() && s.idleWarned() {
		end, from = End{idle, "idle_expiration"}, s.IdleWarnedAt
	}
	if limit := s.EndsAt(); !limit.IsZero() && (end.At.IsZero() || limit.Before(end.At)) {
		end, from = End{limit, "session_time_limit"}, s.EndWarningDue()
	}
	return end, from
}
