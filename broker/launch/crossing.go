package launch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
	"github.com/greenroom/greenroom/internal/tracing"
)

// A zone may be at a peer, the greenroom of another region. A step of a launch there is one call
// to the peer's broker, for that step and that zone alone, so that the order of the steps is
// kept, and so that a call from a peer never crosses again.
//
// A launch with an Idempotency-Key is sent with a key that follows from it. Before the call the
// crossing is recorded under the launch's own key, in the record that binds keys to sessions of
// this region: a key has one of both. It is freed only once it is known that the peer gave nothing.
// While that is not known, as after a lost answer, the launch is refused, and whichever broker
// gets the repeat asks the peer again, with the same key, before anything else. A call that is
// still on its way then cannot give a second session later: it says by when it must have begun.

const (
	// crossingStart is how long after it was sent a peer may begin a launch, and clockSkew how far
	// the clocks of two regions may differ.
	crossingStart = 10 * time.Second
	clockSkew     = 10 * time.Second
)

// PeerRequest is a launch as a peer is asked.
type PeerRequest struct {
	Launch         staging.Launch
	IdempotencyKey string
	// Only is the step that may serve it, and StartBy by when it must have begun.
	Only    staging.Step
	StartBy time.Time
	// Wait is how long the peer waits for a session that it makes.
	Wait time.Duration
}

// PeerRefusal is a refusal of a peer that is known to have given nothing.
type PeerRefusal struct {
	// Kind is the code of its answer; "" where it was not reached.
	Kind   refusal.Kind
	Detail string
	// Attempts are the steps that it tried.
	Attempts []staging.Attempt
	Cause    error
}

// Error implements error.
func (e *PeerRefusal) Error() string { return e.Detail }

// Unwrap returns the cause.
func (e *PeerRefusal) Unwrap() error { return e.Cause }

// whyNotCross returns why the launch cannot be served from a zone at a peer, "" where it may, and
// whether that is because the peer does not answer.
func (l *launch) whyNotCross(zone staging.Zone) (why string, away bool) {
	switch {
	case l.Only != "":
		return fmt.Sprintf("zone %s is at peer %s, and a launch that asks for one step only does not cross", zone.Name, zone.Peer), false
	case l.Peers == nil:
		return fmt.Sprintf("zone %s is at peer %s, which is not in this broker's configuration", zone.Name, zone.Peer), false
	case l.Selector != "" && !l.Scope.IsZero():
		// The peer would choose among images that the caller may not reach.
		return fmt.Sprintf("zone %s is at peer %s, and what a selector chooses there cannot be held to the token's scope", zone.Name, zone.Peer), false
	}
	if err := l.Peers.Reachable(zone.Peer); err != nil {
		return fmt.Sprintf("zone %s is at peer %s: %s", zone.Name, zone.Peer, err), true
	}
	return "", false
}

// cross asks the peer that has a zone to serve a step of the launch. No sessions and no error:
// it gave none, and the attempts say why.
func (l *launch) cross(ctx context.Context, zone staging.Zone, step staging.Step) ([]staging.Session, error) {
	if l.stopping.now() {
		return nil, brokerStops()
	}
	if _, before := l.attemptOf(step, zone.Name); before {
		return nil, nil // of another image that the selector chooses: the peer has chosen among all
	}
	if why, _ := l.whyNotCross(zone); why != "" {
		// It was reachable when the candidates were chosen.
		l.attempt(step, zone.Name, staging.OutcomeSkipped, why)
		return nil, nil
	}
	c := staging.Crossing{Peer: zone.Peer, PeerZone: zone.ZoneAtPeer(), Zone: zone.Name, Step: step}
	hold, startBy, err := l.holdCrossing(ctx, c, l.keyIndex)
	if err != nil {
		return nil, err
	}
	given, err := l.ask(ctx, c, startBy)
	if refused, ok := errors.AsType[*PeerRefusal](err); ok {
		if err := l.notGiven(ctx, hold, refused); err != nil {
			return nil, err
		}
		l.refusedByPeer(c, refused)
		return nil, nil
	}
	if err != nil {
		return nil, l.unknownOutcome(c, err)
	}
	return l.givenByPeer(ctx, hold, c, given), nil
}

// holdCrossing records the launch's crossing under its key, in place of the record with an index,
// and returns by when the peer must begin.
func (l *launch) holdCrossing(ctx context.Context, c staging.Crossing, index uint64) (staging.KeyHold, time.Time, error) {
	startBy := time.Now().UTC().Add(crossingStart)
	if l.IdempotencyKey == "" {
		return staging.KeyHold{}, startBy, nil
	}
	if until := startBy.Add(clockSkew); until.After(c.Until) {
		c.Until = until
	}
	began := time.Now()
	write, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	hold, err := l.Crossings.HoldCrossing(write, l.IdempotencyKey, staging.KeyHold{Claim: l.claim.ID, Fingerprint: l.claim.Fingerprint, Crossing: &c, Index: index})
	l.timings.Fence += time.Since(began)
	if held, ok := errors.AsType[*staging.KeyHeldError](err); ok {
		if index != 0 && held.Crossing != nil {
			return hold, startBy, keyInFlight() // another broker asks the peer at this moment
		}
		return hold, startBy, l.repeatOf(ctx, held.KeyHold)
	}
	if err != nil {
		l.consul.trip()
		return hold, startBy, refusal.NoConsul(err)
	}
	// From here on the crossing has the key: a launch that is refused does not free it.
	l.keyIndex = 0
	return hold, startBy, nil
}

// ask asks a peer for a step.
func (l *launch) ask(ctx context.Context, c staging.Crossing, startBy time.Time) (given []Result, err error) {
	wait, bound := time.Duration(0), deadline.Peer
	if c.Step == staging.StepOnDemand {
		wait = max(0, l.Wait-time.Since(l.began))
		bound += wait
	} else if hook := l.image.ExecConfig.Assign; hook != nil {
		bound += hook.Deadline()
	}
	at := l.asked
	at.Zone, at.SkipStaged, at.Groups = c.PeerZone, false, l.Groups
	// A launch waits for room in its own region alone.
	at.WaitForRoom = new(staging.Duration)
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	ctx, span := tracing.Start(ctx, "cross")
	span.Set("greenroom.peer", c.Peer)
	span.Set("greenroom.zone", c.PeerZone)
	defer func() { span.End(err) }()
	return l.Peers.Launch(ctx, c.Peer, PeerRequest{Launch: at, IdempotencyKey: l.keyAtPeer(), Only: c.Step, StartBy: startBy, Wait: wait})
}

// keyAtPeer is the key with which peers are asked: the same for each repeat of the launch, at
// whichever broker, and none of another caller's; "" for a launch without a key.
func (l *launch) keyAtPeer() string {
	if l.IdempotencyKey == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(l.IdempotencyKey))
	return "crossing-" + hex.EncodeToString(sum[:])
}

// givenByPeer records what a peer gave, and returns it as sessions of the launch.
func (l *launch) givenByPeer(ctx context.Context, hold staging.KeyHold, c staging.Crossing, given []Result) []staging.Session {
	sessions, records := make([]staging.Session, len(given)), make([]staging.RemoteSession, len(given))
	l.crossed = map[string]Result{}
	for i, r := range given {
		r.Peer, r.Session.Zone = c.Peer, c.Zone
		l.crossed[r.Session.ID], sessions[i] = r, r.Session
		records[i] = staging.RemoteSession{
			Session: r.Session.ID, Peer: c.Peer, Zone: c.Zone, UserID: l.User.ID, IdempotencyKey: l.IdempotencyKey, GivenAt: time.Now().UTC(),
		}
	}
	if hold.Crossing != nil {
		c = *hold.Crossing
	}
	c.Sessions = sessionIDs(sessions)
	hold.Crossing = &c
	write, cancel := context.WithTimeout(context.WithoutCancel(ctx), deadline.Consul)
	defer cancel()
	if err := l.Crossings.FinishCrossing(write, hold, records); err != nil {
		l.log().WithError(err).Warn("could not record the sessions that a peer gave, unless another broker did; they are the user's, and a repeat asks the peer")
	}
	l.freeInRedis(write)
	step, outcome := c.Step, staging.OutcomeServed
	if given[0].Existing {
		step = staging.StepExisting
	}
	if s := sessions[0]; s.State != staging.Assigned {
		outcome = staging.OutcomeStarting
	}
	l.attempt(step, c.Zone, outcome, "by peer "+c.Peer)
	return sessions
}

// freeInRedis frees the launch's key in Redis. The key's record in Consul says from now on whose
// it is.
func (l *launch) freeInRedis(ctx context.Context) {
	if l.IdempotencyKey == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, deadline.Redis)
	defer cancel()
	if err := l.Keys.Release(ctx, l.IdempotencyKey, l.claim.ID, ""); err != nil {
		l.log().WithError(err).Warn("could not free the idempotency key in Redis; it expires with its lease")
	}
}

// notGiven frees the launch's key from a crossing that gave nothing, or returns why the launch
// cannot go on.
func (l *launch) notGiven(ctx context.Context, hold staging.KeyHold, refused *PeerRefusal) error {
	switch refused.Kind {
	case refusal.KeyReused:
		return &refusal.Error{Kind: refusal.KeyReused, Detail: "the peer that was asked: " + refused.Detail}
	case refusal.KeyInFlight:
		return keyInFlight()
	}
	if l.IdempotencyKey == "" {
		return nil
	}
	// Not under ctx: a launch whose time is up must not keep its key.
	write, cancel := context.WithTimeout(context.WithoutCancel(ctx), deadline.Consul)
	defer cancel()
	if err := l.Crossings.DropCrossing(write, l.IdempotencyKey, hold); err != nil {
		l.log().WithError(err).Warn("could not free the key of a crossing that gave nothing, unless another broker has it by now; a repeat asks the peer again")
		return keyInFlight()
	}
	return nil
}

// refusedByPeer records why a peer did not serve a step.
func (l *launch) refusedByPeer(c staging.Crossing, refused *PeerRefusal) {
	outcome, reason := staging.OutcomeFailed, refused.Detail
	if n := len(refused.Attempts); n > 0 && refused.Kind == refusal.NoCapacity {
		last := refused.Attempts[n-1]
		outcome, reason = last.Outcome, last.Reason
	}
	if refused.Kind == "" {
		outcome = staging.OutcomeSkipped
	}
	l.attempt(c.Step, c.Zone, outcome, "peer "+c.Peer+": "+reason)
}

// attemptOf returns the attempt of a step in a zone.
func (l *launch) attemptOf(step staging.Step, zone string) (a staging.Attempt, found bool) {
	i := slices.IndexFunc(l.attempts, func(a staging.Attempt) bool { return a.Step == step && a.Zone == zone })
	if i < 0 {
		return a, false
	}
	return l.attempts[i], true
}

// notCrossed is the refusal of a zone at a peer that has made no session.
func (l *launch) notCrossed(zone string) *refusal.Error {
	a, _ := l.attemptOf(staging.StepOnDemand, zone)
	kind := refusal.NoCapacity
	if a.Outcome == staging.OutcomeSkipped {
		kind = refusal.PeerUnavailable
	}
	return &refusal.Error{Kind: kind, Detail: a.Reason}
}

// unknownOutcome refuses a launch of which it is not known what the peer gave it.
func (l *launch) unknownOutcome(c staging.Crossing, err error) *refusal.Error {
	next := "without an Idempotency-Key it cannot be repeated: should the peer have given a session, it is the user's there until a limit ends it"
	if l.IdempotencyKey != "" {
		next = "repeat it with the same Idempotency-Key to get that session, or another one once it is known that there is none; a launch with another key does not wait for that"
	}
	l.attempt(c.Step, c.Zone, staging.OutcomeFailed, "peer "+c.Peer+" was asked, and did not answer")
	return &refusal.Error{
		Kind: refusal.PeerUnavailable, Cause: err, RetryAfter: crossingStart,
		Detail: fmt.Sprintf("peer %s was asked for a session in zone %s and did not answer, so that it is not known whether it gave one: %s", c.Peer, c.Zone, next),
	}
}
