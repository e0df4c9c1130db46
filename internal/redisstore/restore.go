package redisstore

import (
	"context"

	"github.com/greenroom/greenroom/internal/staging"
)

// Restore puts back a session that its fate record f assigns to a user, and that Redis has
// lost or still holds as unused. x.State is claimed or assigned, or starting for an
// on-demand session that is not up. The launch holds its Idempotency-Key again. Restore
// returns the session's state in Redis after that.
func (s *Store) Restore(ctx context.Context, x staging.Session, f staging.Fate) (staging.State, error) {
	done := ""
	if x.State == staging.Assigned {
		done = "1"
	}
	state, err := restoreScript.Run(ctx, s.rdb,
		[]string{
			s.sessionKey(x.ID), s.poolKey(x.Staging), s.readyKey(x.Staging), s.indexKey(), s.eventsKey(), s.claimKey(x.ID), s.userKey(userID(x)),
			s.idempotencyKey(f.IdempotencyKey),
		},
		x.ID, x.Staging, string(x.State), x.Claim, mustJSON(x.User), facts(x), x.CreatedAt.UnixMilli(), x.AssignedAt.UnixMilli(),
		mustJSON(x.Terms), x.Terms.Keepalive.Std().Milliseconds(), f.Fingerprint, done, s.o.KeyLife.Milliseconds(),
		joined(f.Sessions)).Text()
	return staging.State(state), callError(err, "restore session %s", x.ID)
}

func userID(x staging.Session) string {
	if x.User == nil {
		return ""
	}
	return x.User.ID
}
