package redisstore

import (
	"context"
	"fmt"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// UserSessions reads the sessions that a user has, oldest first: claimed and
// assigned ones, and those on demand that are not up yet.
func (s *Store) UserSessions(ctx context.Context, userID string) ([]staging.Session, error) {
	ids, err := s.rdb.ZRange(ctx, s.userKey(userID), 0, -1).Result()
	if err != nil {
		return nil, err
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

// Keepalive notes that a session's user is still there, and gives the session.
// A *staging.StateError says that it is not assigned, staging.ErrNoSession that
// it is not known.
func (s *Store) Keepalive(ctx context.Context, id string) (staging.Session, error) {
	reply, err := keepaliveScript.Run(ctx, s.rdb, []string{s.sessionKey(id)}).StringSlice()
	switch {
	case err != nil:
		return staging.Session{}, err
	case reply[0] == "":
		return staging.Session{}, fmt.Errorf("%w: %s", staging.ErrNoSession, id)
	case len(reply) == 1:
		return staging.Session{}, &staging.StateError{Session: id, State: staging.State(reply[0])}
	}
	return decode(pairs(reply[1:]))
}

// Lapse begins the end of a session whose keepalive is over by Redis's clock,
// and gives the session as it then is: still assigned when a keepalive came in
// time. staging.ErrNoSession when Redis does not know it.
//
// lost is when keepalives may have been lost, because Redis was put back; zero for never.
func (s *Store) ExpireKeepalive(ctx context.Context, x staging.Session, lost time.Time) (staging.Session, error) {
	reply, err := expireKeepaliveScript.Run(ctx, s.rdb, []string{s.sessionKey(x.ID), s.eventsKey()},
		x.ID, fmt.Sprintf("no keepalive came for %s", x.Terms.Keepalive), max(0, lost.UnixMilli())).StringSlice()
	if err != nil {
		return x, err
	}
	if len(reply) == 0 {
		return x, fmt.Errorf("%w: %s", staging.ErrNoSession, x.ID)
	}
	return decode(pairs(reply))
}

// pairs makes a hash of its fields and values in turn.
func pairs(list []string) map[string]string {
	h := make(map[string]string, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		h[list[i]] = list[i+1]
	}
	return h
}
