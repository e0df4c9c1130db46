package redisstore

import (
	"context"

	"github.com/greenroom/greenroom/internal/staging"
)

// NoteHealth notes whether a user's session runs with passing checks, and by Redis's clock
// since when. Repeating it is harmless. A *staging.StateError says that the session is no
// longer assigned by x.Claim.
func (s *Store) NoteHealth(ctx context.Context, x staging.Session, healthy bool, reason string) error {
	state, err := noteHealthScript.Run(ctx, s.rdb, []string{s.sessionKey(x.ID), s.eventsKey()}, x.ID, x.Claim, flag(healthy), reason).Text()
	if err != nil {
		return callError(err, "note the health of session %s", x.ID)
	}
	return expect(x.ID, state, nil, staging.Assigned)
}
