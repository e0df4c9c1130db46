package gateway

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// errSessionOver ends what is open to a session that is over.
var errSessionOver = errors.New("the session is over")

// route is a session that the gateway knows, with what is open to it.
type route struct {
	// claim identifies the claim of the session's user, as in a seal.
	claim string
	// session is the session as it was last read.
	session atomic.Pointer[staging.Session]

	// ended is done when the session is over.
	ended context.Context
	end   context.CancelCauseFunc

	// open counts the requests and sockets to the session.
	open atomic.Int64
	// usedAt is when it was last used, checkedAt when the gateway last tried to read it; in
	// nanoseconds since 1970.
	usedAt, checkedAt atomic.Int64
	// stale: something has happened to it since. told: its first use was noted.
	stale, told atomic.Bool
	// suspect: its process did not take a connection, so that it is read again before the next
	// use. A port that it had may be another session's by then.
	suspect atomic.Bool
}

func newRoute(s staging.Session, now time.Time) *route {
	r := &route{claim: claimTag(s.Claim)}
	r.ended, r.end = context.WithCancelCause(context.Background())
	r.read(s, now)
	r.usedAt.Store(now.UnixNano())
	return r
}

// read takes in the session as it was just read.
func (r *route) read(s staging.Session, now time.Time) {
	r.session.Store(&s)
	r.checked(now)
	r.suspect.Store(false)
}

// checked notes that the session was read, or that it was tried.
func (r *route) checked(now time.Time) {
	r.stale.Store(false)
	r.checkedAt.Store(now.UnixNano())
}

// unusedFor reports whether nothing is open to the session, and has not been for a time.
func (r *route) unusedFor(d time.Duration, now time.Time) bool {
	return r.open.Load() == 0 && now.Sub(time.Unix(0, r.usedAt.Load())) > d
}

// lastUse returns when the session was last used by this gateway; zero for never.
func (r *route) lastUse() time.Time {
	if !r.told.Load() {
		return time.Time{}
	}
	return time.Unix(0, r.usedAt.Load())
}

// sameAs reports whether a session that was read is still the route's: that of the same claim.
func (r *route) sameAs(s staging.Session) bool { return r.claim == claimTag(s.Claim) }

// usable reports whether the gateway can send a request to a session.
func usable(s staging.Session) bool {
	return s.State == staging.Assigned && s.User != nil && s.Claim != "" && s.Address != ""
}
