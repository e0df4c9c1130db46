package redisstore

import (
	"context"
	"fmt"
	"time"

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

// NoteReceiving records that this caller, a broker, can receive keepalives now. A caller
// calls it more often than once in staging.KeepaliveGap. It returns since when keepalives
// are received without a gap, by Redis's clock.
func (s *Store) NoteReceiving(ctx context.Context) (since time.Time, err error) {
	ms, err := receivingScript.Run(ctx, s.rdb, []string{s.receivingKey()}, staging.KeepaliveGap.Milliseconds()).Int64()
	return time.UnixMilli(ms).UTC(), callError(err, "note that keepalives are received")
}

// RestartKeepalives starts every session's keepalive period again: Redis has lost writes,
// so keepalives may be among them.
func (s *Store) RestartKeepalives(ctx context.Context) error {
	return callError(s.rdb.Del(ctx, s.receivingKey()).Err(), "restart the keepalive periods")
}

// ExpireKeepalive starts the end of a session whose keepalive period is over by Redis's
// clock. It returns the session as it is after that: still assigned if a keepalive came
// in time, or if keepalives may have been lost within the period, because Redis or every
// broker was away. It returns staging.ErrNoSession if Redis does not have the session.
func (s *Store) ExpireKeepalive(ctx context.Context, x staging.Session) (staging.Session, error) {
	reply, err := expireKeepaliveScript.Run(ctx, s.rdb, []string{s.sessionKey(x.ID), s.eventsKey(), s.receivingKey()},
		x.ID, fmt.Sprintf("no keepalive came for %s", x.Terms.Keepalive), staging.KeepaliveGap.Milliseconds()).StringSlice()
	if err != nil {
		return x, callError(err, "expire the keepalive of session %s", x.ID)
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
