package redisstore

import (
	"context"

	"github.com/greenroom/greenroom/internal/staging"
)

// NoteRoom notes what an on-demand session that is not placed waits for. Repeating it is
// harmless. A *staging.StateError says that the session is no longer pending.
func (s *Store) NoteRoom(ctx context.Context, x staging.Session, reason string) error {
	state, err := noteRoomScript.Run(ctx, s.rdb, []string{s.sessionKey(x.ID), s.eventsKey()}, x.ID, reason).Text()
	if err != nil {
		return callError(err, "note what session %s waits for", x.ID)
	}
	return expect(x.ID, state, nil, staging.Pending)
}
