package redisstore

import (
	"context"

	"github.com/greenroom/greenroom/internal/staging"
)

// Restarted notes that the main task of a user's session was restarted, so that the session
// is not up. Repeating it is harmless. A *staging.StateError says that the session is no
// longer assigned by x.Claim.
func (s *Store) Restarted(ctx context.Context, x staging.Session, reason string) error {
	state, err := restartedScript.Run(ctx, s.rdb, []string{s.sessionKey(x.ID), s.eventsKey()}, x.ID, x.Claim, reason).Text()
	if err != nil {
		return callError(err, "note the restart of session %s", x.ID)
	}
	return expect(x.ID, state, nil, staging.Assigned)
}

// Reassigned notes that the assign hook of a user's session has run again for the start of
// its main task that x.Restarts counts: the session is up. With a failure it stays its
// user's and is not up. A *staging.StateError says that the session is no longer assigned
// by x.Claim.
func (s *Store) Reassigned(ctx context.Context, x staging.Session, failure, reason string) error {
	state, err := reassignedScript.Run(ctx, s.rdb, []string{s.sessionKey(x.ID), s.eventsKey()}, x.ID, x.Claim, facts(x), failure, reason).Text()
	if err != nil {
		return callError(err, "note that the assign hook of session %s ran again", x.ID)
	}
	return expect(x.ID, state, nil, staging.Assigned)
}
