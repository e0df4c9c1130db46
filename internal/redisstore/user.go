package redisstore

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/greenroom/greenroom/internal/staging"
)

// UserSessions reads the user's sessions, oldest first: those that are claimed or
// assigned, and on-demand sessions that are not up yet.
func (s *Store) UserSessions(ctx context.Context, userID string) ([]staging.Session, error) {
	ids, err := s.rdb.ZRange(ctx, s.userKey(userID), 0, -1).Result()
	if err != nil {
		return nil, callError(err, "list the sessions of user %s", userID)
	}
	all, err := s.read(ctx, ids)
	if err != nil {
		return nil, err
	}
	own := all[:0]
	for _, x := range all {
		if !x.State.Over() && x.User != nil && x.User.ID == userID {
			own = append(own, x)
		}
	}
	return own, nil
}

// Keepalive records that a session's user is still there, and returns the session. It
// returns a *staging.StateError if the session is not assigned, and staging.ErrNoSession
// if Redis does not have it.
func (s *Store) Keepalive(ctx context.Context, id string) (staging.Session, error) {
	reply, err := keepaliveScript.Run(ctx, s.rdb, []string{s.sessionKey(id)}).StringSlice()
	switch {
	case err != nil:
		return staging.Session{}, callError(err, "keepalive of session %s", id)
	case reply[0] == "":
		return staging.Session{}, fmt.Errorf("%w: %s", staging.ErrNoSession, id)
	case len(reply) == 1:
		return staging.Session{}, &staging.StateError{Session: id, State: staging.State(reply[0])}
	}
	return decode(id, pairs(reply[1:]))
}

// gatewaysLife is how long after its last gateway was seen an installation still counts as one that
// has gateways, so that no session ends as unused while all are away.
const gatewaysLife = 24 * time.Hour

// NoteReceiving records that this caller, a broker, can receive keepalives now. A caller
// calls it more often than once in staging.KeepaliveGap. It returns since when keepalives
// are received without a gap, by Redis's clock.
func (s *Store) NoteReceiving(ctx context.Context) (since time.Time, err error) {
	return s.noteReceiving(ctx, s.receivingKey(), 0)
}

// NoteGateway is NoteReceiving of a gateway, where sessions are used.
func (s *Store) NoteGateway(ctx context.Context) (since time.Time, err error) {
	return s.noteReceiving(ctx, s.gatewaysKey(), gatewaysLife)
}

func (s *Store) noteReceiving(ctx context.Context, key string, life time.Duration) (since time.Time, err error) {
	ms, err := receivingScript.Run(ctx, s.rdb, []string{key}, staging.KeepaliveGap.Milliseconds(), life.Milliseconds()).Int64()
	return time.UnixMilli(ms).UTC(), callError(err, "note that keepalives are received")
}

// RestartKeepalives starts every session's keepalive period again: Redis has lost writes,
// so keepalives may be among them.
func (s *Store) RestartKeepalives(ctx context.Context) error {
	return callError(s.rdb.Del(ctx, s.receivingKey(), s.gatewaysKey()).Err(), "restart the keepalive periods")
}

// ExpireKeepalive starts the end of a session whose keepalive period is over by Redis's
// clock. It returns the session as it is after that: still assigned if a keepalive came
// in time, or if keepalives may have been lost within the period, because Redis or every
// broker was away. It returns staging.ErrNoSession if Redis does not have the session.
func (s *Store) ExpireKeepalive(ctx context.Context, x staging.Session) (staging.Session, error) {
	return s.expire(ctx, x, "expire the keepalive of", expireKeepaliveScript,
		x.ID, fmt.Sprintf("no keepalive came for %s", x.Terms.Keepalive), staging.KeepaliveGap.Milliseconds())
}

// ExpireIdle warns the user of a session that is not used, or starts its end when it has not been
// used for its term by Redis's clock and its user was warned. It returns the session as it is after
// that, like ExpireKeepalive.
func (s *Store) ExpireIdle(ctx context.Context, x staging.Session) (staging.Session, error) {
	lead := x.Terms.IdleWarning()
	return s.expire(ctx, x, "expire the idle time of", expireIdleScript,
		x.ID, x.Claim, x.Terms.Idle.Std().Milliseconds(), lead.Milliseconds(),
		fmt.Sprintf("it ends in %s unless it is used: its idle_expiration is %s", staging.Duration(lead), x.Terms.Idle),
		fmt.Sprintf("it was not used for %s", x.Terms.Idle), staging.KeepaliveGap.Milliseconds())
}

// ExpireUnvisited starts the end of a session that its user has not used by the end of the term, by
// Redis's clock. It returns the session as it is after that: no longer unvisited if a use may have
// been lost.
func (s *Store) ExpireUnvisited(ctx context.Context, x staging.Session) (staging.Session, error) {
	return s.expire(ctx, x, "expire the first visit of", expireUnvisitedScript,
		x.ID, x.Claim, x.Terms.Unvisited.Std().Milliseconds(), fmt.Sprintf("its user did not open it within %s", x.Terms.Unvisited),
		staging.KeepaliveGap.Milliseconds())
}

// ExpireLimit starts the end of a session that has reached its time limit by Redis's clock, unless
// it was extended meanwhile. It returns the session as it is after that, like ExpireKeepalive.
func (s *Store) ExpireLimit(ctx context.Context, x staging.Session, reason string) (staging.Session, error) {
	extended := ""
	if x.Terms.Extended != 0 {
		extended = x.Terms.Extended.String()
	}
	return s.expire(ctx, x, "expire the time limit of", expireLimitScript, x.ID, x.Claim, x.EndsAt().UnixMilli(), extended, reason)
}

// WarnEnd warns the user of a session that its time limit is near, once for each such end. It
// returns the session as it is after that.
func (s *Store) WarnEnd(ctx context.Context, x staging.Session, warning string) (staging.Session, error) {
	return s.expire(ctx, x, "warn of the end of", warnEndScript, x.ID, x.Claim, x.EndsAt().UnixMilli(), warning)
}

// Extend takes over a later end of a user's session from its fate record, in x.Terms, and
// records a use of it. It returns the session as it is after that, a *staging.StateError if it is not
// assigned to this claim, and staging.ErrNoSession if Redis does not have it.
func (s *Store) Extend(ctx context.Context, x staging.Session, reason string) (staging.Session, error) {
	reply, err := extendScript.Run(ctx, s.rdb, []string{s.sessionKey(x.ID), s.eventsKey()}, x.ID, x.Claim, mustJSON(x.Terms), reason).StringSlice()
	switch {
	case err != nil:
		return x, callError(err, "extend session %s", x.ID)
	case reply[0] == "":
		return x, fmt.Errorf("%w: %s", staging.ErrNoSession, x.ID)
	}
	if err := expect(x.ID, reply[0], nil, staging.Assigned); err != nil {
		return x, err
	}
	return decode(x.ID, pairs(reply[1:]))
}

// expire runs a script that may end a session, and returns the session as it is after that;
// staging.ErrNoSession if Redis does not have it.
func (s *Store) expire(ctx context.Context, x staging.Session, what string, script *redis.Script, args ...any) (staging.Session, error) {
	reply, err := script.Run(ctx, s.rdb, []string{s.sessionKey(x.ID), s.eventsKey(), s.receivingKey(), s.gatewaysKey()}, args...).StringSlice()
	if err != nil {
		return x, callError(err, "%s session %s", what, x.ID)
	}
	if len(reply) == 0 {
		return x, fmt.Errorf("%w: %s", staging.ErrNoSession, x.ID)
	}
	return decode(x.ID, pairs(reply))
}

// pairs returns the hash that a script returned as a list of fields and values in turn.
func pairs(list []string) map[string]string {
	h := make(map[string]string, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		h[list[i]] = list[i+1]
	}
	return h
}
