package redisstore

import (
	"context"

	"github.com/greenroom/greenroom/internal/staging"
)

// Record records a session that is pending or starting, and returns its state in Redis
// after that. A session that is further on keeps its state. An on-demand session that
// Redis does not have is not created, because its user is not known here; Record then
// returns "".
func (s *Store) Record(ctx context.Context, x staging.Session) (staging.State, error) {
	state, err := recordScript.Run(ctx, s.rdb,
		[]string{s.sessionKey(x.ID), s.poolKey(x.Staging), s.indexKey(), s.eventsKey()},
		x.ID, string(x.State), facts(x), x.CreatedAt.UnixMilli(), x.Staging).Text()
	return staging.State(state), callError(err, "record session %s", x.ID)
}

// Publish makes a staged session claimable, behind those that are not demoted if
// x.Demoted. It returns a *staging.StateError if a launch
// holds the session or the session is ending.
func (s *Store) Publish(ctx context.Context, x staging.Session) error {
	state, err := publishScript.Run(ctx, s.rdb,
		[]string{s.sessionKey(x.ID), s.poolKey(x.Staging), s.indexKey(), s.eventsKey(), s.readyKey(x.Staging), s.claimKey(x.ID)},
		x.ID, facts(x), x.CreatedAt.UnixMilli(), x.Staging, x.Image, x.Zone, x.Permits, s.poolCounter(x.Staging), counterLife.Milliseconds(), flag(x.Demoted)).Text()
	return expect(x.ID, state, callError(err, "publish session %s", x.ID), staging.Ready)
}

// Withdraw takes a ready session out of its queue, because its checks no longer pass. It
// returns a *staging.StateError if the session was no longer ready.
func (s *Store) Withdraw(ctx context.Context, x staging.Session) error {
	state, err := withdrawScript.Run(ctx, s.rdb,
		[]string{s.sessionKey(x.ID), s.readyKey(x.Staging), s.eventsKey()},
		x.ID, x.Staging).Text()
	return expect(x.ID, state, callError(err, "withdraw session %s", x.ID), staging.Starting)
}

// Reorder puts a session behind those that are not demoted in its ready queue if x.Demoted,
// else at its place by age. It does not change the session's state, which it returns; ""
// when Redis does not have the session.
func (s *Store) Reorder(ctx context.Context, x staging.Session) (staging.State, error) {
	state, err := reorderScript.Run(ctx, s.rdb,
		[]string{s.sessionKey(x.ID), s.readyKey(x.Staging), s.indexKey()},
		x.ID, flag(x.Demoted)).Text()
	return staging.State(state), callError(err, "reorder session %s in its ready queue", x.ID)
}

// flag is how the scripts read a bool.
func flag(yes bool) string {
	if yes {
		return "1"
	}
	return ""
}

// Quarantine stores a session as quarantined, because of x.Reason, and returns its state in
// Redis after that: a session that is a user's or over keeps its state.
func (s *Store) Quarantine(ctx context.Context, x staging.Session) (staging.State, error) {
	state, err := quarantineScript.Run(ctx, s.rdb,
		[]string{s.sessionKey(x.ID), s.poolKey(x.Staging), s.readyKey(x.Staging), s.indexKey(), s.eventsKey()},
		x.ID, x.Staging, facts(x), x.CreatedAt.UnixMilli(), x.Reason, string(x.Damaged)).Text()
	return staging.State(state), callError(err, "quarantine session %s", x.ID)
}

// Retire takes an unused session out of its pool; it never returns there. Retire returns a
// *staging.StateError if a launch claimed the session first or Redis does not have it.
func (s *Store) Retire(ctx context.Context, x staging.Session, reason string) error {
	state, err := retireScript.Run(ctx, s.rdb,
		[]string{s.sessionKey(x.ID), s.poolKey(x.Staging), s.readyKey(x.Staging), s.eventsKey(), s.claimKey(x.ID)},
		x.ID, x.Staging, reason).Text()
	return expect(x.ID, state, callError(err, "retire session %s", x.ID), staging.Retiring)
}

// Ended marks a session as ended, because nothing of it runs any more. reason is used only
// if the session has none yet. A session that Redis does not have is no error.
func (s *Store) Ended(ctx context.Context, x staging.Session, reason string) error {
	err := endedScript.Run(ctx, s.rdb,
		[]string{s.sessionKey(x.ID), s.poolKey(x.Staging), s.readyKey(x.Staging), s.indexKey(), s.eventsKey(), s.claimKey(x.ID), s.endedKey()},
		x.ID, x.Staging, reason, s.o.EndedLife.Milliseconds(), s.o.MaxEnded).Err()
	return callError(err, "mark session %s as ended", x.ID)
}
