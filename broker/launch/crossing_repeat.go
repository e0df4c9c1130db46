package launch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/greenroom/greenroom/broker/deadline"
	"github.com/greenroom/greenroom/broker/refusal"
	"github.com/greenroom/greenroom/internal/staging"
)

// resumeCrossing serves a repeat of a launch that has crossed. No sessions and no error: it has
// not, or the peer is known to have given nothing.
func (l *launch) resumeCrossing(ctx context.Context) ([]staging.Session, error) {
	if l.IdempotencyKey == "" || l.Only != "" || !l.mayCross() {
		return nil, nil // a launch that cannot cross finds a crossing when it decides a fate
	}
	read, cancel := context.WithTimeout(ctx, deadline.Consul)
	defer cancel()
	hold, err := l.Fates.Key(read, l.IdempotencyKey)
	switch {
	case errors.Is(err, staging.ErrNoResource):
		return nil, nil
	case err != nil:
		return nil, refusal.NoConsul(err)
	case hold.Crossing == nil:
		return nil, nil
	case hold.Fingerprint != l.claim.Fingerprint:
		return nil, keyReused()
	}
	return l.repeatCrossing(ctx, hold)
}

// mayCross reports whether one of the launch's zones is at a peer.
func (l *launch) mayCross() bool {
	own := l.resources.Zones[l.Zone]
	return own.Peer != "" || slices.ContainsFunc(own.Alternates(l.resources.Zones), func(name string) bool { return l.resources.Zones[name].Peer != "" })
}

// provesNone are the refusals of a peer that has looked for an earlier launch with the key. A repeat
// that is refused with another one says nothing of the earlier call.
var provesNone = map[refusal.Kind]bool{refusal.NoCapacity: true, refusal.LaunchFailed: true, refusal.SessionLimit: true, refusal.ProfileInUse: true}

// repeatOfCrossing is repeatOf for a key that has crossed.
func (l *launch) repeatOfCrossing(ctx context.Context, hold staging.KeyHold) error {
	if l.Peers == nil {
		return &refusal.Error{Kind: refusal.PeerUnavailable, Detail: fmt.Sprintf(
			"a launch with this Idempotency-Key went to peer %s, which is not in this broker's configuration: repeat it at another broker, or launch anew with a fresh key", hold.Crossing.Peer)}
	}
	sessions, err := l.repeatCrossing(ctx, hold)
	switch {
	case err != nil:
		return err
	case sessions == nil:
		return keyInFlight() // the key is free now: the next repeat begins anew
	}
	return &servedError{sessions: sessions}
}

// repeatCrossing asks the peer again that holds the launch's key, for the same step. No sessions and no
// error: it gave none, and the key is free.
func (l *launch) repeatCrossing(ctx context.Context, hold staging.KeyHold) ([]staging.Session, error) {
	c := *hold.Crossing
	if err := l.Peers.Reachable(c.Peer); err != nil {
		return nil, l.keyAway(c, err)
	}
	earlier := c.Until
	mine, startBy, err := l.holdCrossing(ctx, c, hold.Index)
	if err != nil {
		return nil, err
	}
	given, err := l.ask(ctx, c, startBy)
	refused, none := errors.AsType[*PeerRefusal](err)
	switch {
	case err == nil:
		return l.givenByPeer(ctx, mine, c, given), nil
	case none && refused.Kind == "":
		return nil, l.keyAway(c, refused)
	case none && provesNone[refused.Kind] && len(c.Sessions) > 0:
		return nil, keyEnded() // it gave one then, and has none any more
	case none && provesNone[refused.Kind] && time.Now().Before(earlier):
		// What was sent before may still be on its way.
		r := l.unknownOutcome(c, refused)
		r.RetryAfter = time.Until(earlier)
		return nil, r
	case none && (provesNone[refused.Kind] || refused.Kind == refusal.KeyReused || refused.Kind == refusal.KeyInFlight):
		if err := l.notGiven(ctx, mine, refused); err != nil {
			return nil, err
		}
		l.refusedByPeer(c, refused)
		return nil, nil
	}
	return nil, l.unknownOutcome(c, err)
}

// keyAway refuses a repeat whose session is at a peer that does not answer.
func (l *launch) keyAway(c staging.Crossing, err error) *refusal.Error {
	l.attempt(c.Step, c.Zone, staging.OutcomeFailed, fmt.Sprintf("an earlier launch with this Idempotency-Key went to peer %s: %s", c.Peer, err))
	what := "whether it was given a session there is known only by it"
	if len(c.Sessions) > 0 {
		what = fmt.Sprintf("its session %s is there, and goes on", joined(c.Sessions))
	}
	return &refusal.Error{
		Kind: refusal.PeerUnavailable, Cause: err, RetryAfter: crossingStart,
		Detail: fmt.Sprintf("an earlier launch with this Idempotency-Key went to peer %s, which does not answer; %s: repeat it later, or launch anew with a fresh key", c.Peer, what),
	}
}
