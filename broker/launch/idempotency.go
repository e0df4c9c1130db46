package launch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// repeatError: another launch holds this one's Idempotency-Key, by Redis.
type repeatError struct{}

func (*repeatError) Error() string { return "another launch holds the idempotency key" }

// servedError carries the sessions of an earlier launch with the key, by its fate records.
type servedError struct{ sessions []staging.Session }

func (*servedError) Error() string { return "an earlier launch with the idempotency key was served" }

// errKeyFree: the launch that held the key gave no session, so this one may try.
var errKeyFree = errors.New("the idempotency key is free again")

// scopedKey is the key under which Redis and Consul know a caller's key. In the scope ""
// it is the key itself, as the records of older versions have it.
func scopedKey(scope, key string) string {
	if scope == "" || key == "" {
		return key
	}
	return scope + "\n" + key
}

// holdKey renews the lease of the launch's key in Redis until stop is called.
func (l *launch) holdKey() (stop func()) {
	if l.IdempotencyKey == "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	// Most launches are over before the first renewal.
	first := time.AfterFunc(l.keyLease/keyRenewals, func() { l.renewKey(ctx) })
	return func() {
		first.Stop()
		cancel()
	}
}

// keyRenewals is how often the lease of a key is renewed before it would end.
const keyRenewals = staging.KeyLease / staging.KeyRenewal

// renewKey renews the lease of the launch's key until ctx is done.
func (l *launch) renewKey(ctx context.Context) {
	again := time.NewTicker(l.keyLease / keyRenewals)
	defer again.Stop()
	for {
		call, cancel := context.WithTimeout(ctx, deadline.Redis)
		if err := l.Keys.RenewKey(call, l.IdempotencyKey, l.claim.ID); err != nil && ctx.Err() == nil {
			l.log().WithError(err).Warn("could not renew the launch's idempotency key in Redis; Consul decides if a repeat takes it")
		}
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

func keyReused() *refusal.Error {
	return &refusal.Error{
		Kind:   refusal.KeyReused,
		Detail: "this Idempotency-Key was used for a launch with another body; use a fresh key for another launch",
	}
}

func keyInFlight() *refusal.Error {
	return &refusal.Error{
		Kind: refusal.KeyInFlight, RetryAfter: time.Second,
		Detail: "a launch with this Idempotency-Key is still under way; repeat it to get its session",
	}
}

func keyEnded() *refusal.Error {
	return &refusal.Error{Kind: refusal.KeyReused, Detail: "the session of this Idempotency-Key has ended; launch anew with a fresh key"}
}

// endedOf is keyEnded for a launch of several, with the session that ended.
func (l *launch) endedOf(s staging.Session) *refusal.Error {
	if !l.Several() {
		return keyEnded()
	}
	return &refusal.Error{
		Kind:   refusal.KeyReused,
		Detail: fmt.Sprintf("session %s of this Idempotency-Key is %s, so that not all of them are there; launch anew with a fresh key", s.ID, s.State),
	}
}

// Of a repeat that waits for the first launch: how often it polls, and how long beyond an
// on-demand session's wait.
const (
	repeatPoll  = 20 * time.Millisecond
	repeatGrace = 10 * time.Second
)

// awaitFirst waits for the launch that holds the key and returns its sessions, whichever
// step served them.
func (l *launch) awaitFirst(ctx context.Context) ([]Result, error) {
	ctx, cancel := context.WithTimeout(ctx, l.Wait+repeatGrace)
	defer cancel()
	patience := time.NewTimer(l.Wait)
	defer patience.Stop()
	poll := time.NewTicker(repeatPoll)
	defer poll.Stop()
	waitOver := false
	for {
		holder, err := l.Keys.KeyHolder(ctx, l.IdempotencyKey)
		switch {
		case ctx.Err() != nil:
			return nil, keyInFlight()
		case err != nil:
			return nil, refusal.NoRedis(err)
		case holder.Claim == "":
			return nil, errKeyFree
		case holder.Fingerprint != l.claim.Fingerprint:
			// The first launch freed the key, and another one has taken it since.
			return nil, keyReused()
		}
		sessions, existing, err := l.sessionsOf(ctx, holder, waitOver)
		switch {
		case err != nil:
			return nil, err
		case len(sessions) > 0:
			return l.repeated(sessions, existing), nil
		}
		select {
		case <-ctx.Done():
			return nil, keyInFlight()
		case <-l.stopping.begun.Done():
			return nil, brokerStops()
		case <-patience.C:
			waitOver = true
		case <-poll.C:
		}
	}
}

// sessionsOf reads the sessions of the launch that holds the key. None and no error: that
// launch is under way. existing: its user had the session before.
//
// An on-demand session that is not up is an answer once the caller's wait is over; a
// claimed session is none until it is assigned. A session that the user had before is an
// answer only when its go hook has run.
func (l *launch) sessionsOf(ctx context.Context, holder staging.KeyHolder, waitOver bool) (sessions []staging.Session, existing bool, err error) {
	if l.Several() && len(holder.Sessions) != l.count() {
		return nil, false, nil // restored in part: its fates are not all finished, or not all known
	}
	for _, id := range holder.Sessions {
		s, err := l.Sessions.Session(ctx, id)
		var e *refusal.Error
		switch {
		case l.Several() && errors.As(err, &e) && e.Kind == refusal.NotFound:
			// Redis does not know all of them, or has forgotten what has ended: Consul knows.
			sessions, err = l.sessionsInConsul(ctx, holder)
			return sessions, false, err
		case err != nil:
			return nil, false, err
		case s.State.Over() && holder.Done:
			return nil, false, l.endedOf(s)
		case s.State.Over():
			// That launch failed, or its broker died; its key is free for another try.
			if err := l.Keys.Release(ctx, l.IdempotencyKey, holder.Claim, holder.Session); err != nil {
				return nil, false, refusal.NoRedis(err)
			}
			return nil, false, errKeyFree
		}
		existing = holder.Claim != s.Claim
		switch {
		case !l.isUsers(s.User) && holder.Done:
			return nil, false, keyReused()
		case !l.isUsers(s.User):
			return nil, false, nil // that launch has given it back since, and tries another
		case s.State == staging.Assigned && !existing:
		case holder.Done && !l.Several(): // existing: its go hook has run
		case waitOver && s.Origin == staging.OnDemand: // not up, and not waited for any longer
		default:
			return nil, false, nil
		}
		sessions = append(sessions, s)
	}
	return sessions, existing, nil
}

// isUsers reports whether the launch is for this user.
func (l *launch) isUsers(u *staging.User) bool { return u != nil && u.ID == l.User.ID }

// sessionsInConsul finds the sessions of the launch that holds the key by their fates.
func (l *launch) sessionsInConsul(ctx context.Context, holder staging.KeyHolder) ([]staging.Session, error) {
	err := l.repeatOf(ctx, staging.KeyHold{Claim: holder.Claim, Fingerprint: holder.Fingerprint, Session: holder.Sessions[0]})
	var served *servedError
	if errors.As(err, &served) {
		return served.sessions, nil
	}
	return nil, err
}

// repeatOf answers a launch whose key another launch holds in Consul: with that launch's
// sessions, as a *servedError, when their fates say that it was served.
func (l *launch) repeatOf(ctx context.Context, hold staging.KeyHold) error {
	if hold.Fingerprint != l.claim.Fingerprint {
		return keyReused()
	}
	if hold.Crossing != nil {
		return l.repeatOfCrossing(ctx, hold)
	}
	first, f, err := l.recordedSession(ctx, hold, hold.Session)
	if err != nil {
		return err
	}
	sessions := []staging.Session{first}
	for _, id := range f.Sessions {
		if id == hold.Session {
			continue
		}
		s, _, err := l.recordedSession(ctx, hold, id)
		if err != nil {
			return err
		}
		sessions = append(sessions, s)
	}
	return &servedError{sessions: sessions}
}

// unlessServed returns the refusal of a launch of several that claimed nothing, or, where
// another launch holds its key in Consul, that launch's sessions: Redis may have forgotten
// it. A launch of one finds that out when it decides the fate of a session on demand.
func (l *launch) unlessServed(ctx context.Context, refused error) error {
	var e *refusal.Error
	if !l.Several() || l.IdempotencyKey == "" || !errors.As(refused, &e) || e.Kind == refusal.KeyReused {
		return refused
	}
	read, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	hold, err := l.Fates.Key(read, l.IdempotencyKey)
	if err != nil || hold.Claim == l.claim.ID {
		return refused // nobody holds it, or that is not known: the refusal stands, and takes nothing
	}
	return l.repeatOf(ctx, hold)
}

// rebind binds the launch's key in Redis to the earlier launch, which Redis did not know.
func (l *launch) rebind(ctx context.Context, sessions []staging.Session) {
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	holder := staging.KeyHolder{Claim: sessions[0].Claim, Sessions: sessionIDs(sessions), Done: true}
	if err := l.Keys.Rebind(ctx, l.IdempotencyKey, l.claim, holder); err != nil {
		l.log().WithError(err).Warn("could not bind the idempotency key to its session again; the next repeat asks Consul")
	}
}

// repeated are the results of a repeat: the sessions of an earlier launch.
func (l *launch) repeated(sessions []staging.Session, existing bool) []Result {
	before := l.attempts
	if l.Several() {
		before = nil
	}
	var results []Result
	for _, s := range sessions {
		outcome := staging.OutcomeServed
		if s.State != staging.Assigned {
			outcome = staging.OutcomeStarting
		}
		step := staging.Step(s.Origin)
		if existing {
			step = staging.StepExisting
		}
		l.attempts = before[:len(before):len(before)]
		l.attempt(step, s.Zone, outcome, "the session of an earlier launch with this Idempotency-Key")
		results = append(results, l.results([]staging.Session{s})...)
	}
	return results
}
