package launch

import (
	"time"

	"github.com/greenroom/greenroom/internal/staging"
)

// MaxWait bounds how long a caller may wait for a session made on demand.
const MaxWait = 10 * time.Minute

// Request is a launch with how it is to be carried out.
type Request struct {
	staging.Launch
	// IdempotencyKey makes repeats of this launch return the same sessions; "" for none.
	IdempotencyKey string
	// Wait bounds how long a session made on demand is waited for; at most MaxWait.
	Wait time.Duration
	// RequestHost is the host that the launch was sent to, without port. It
	// replaces staging.RequestHost in the access settings of a session made on demand.
	RequestHost string
	// GroupsOfProvider: the groups come from an identity provider, which knows others
	// besides greenroom's; those that greenroom does not know are left out.
	GroupsOfProvider bool
}

// Result is one session that a launch served. Its state is assigned, or, for a
// session made on demand that was not up within Wait, pending or starting.
type Result struct {
	Session  staging.Session
	Attempts []staging.Attempt
	Timings  staging.Timings
	// Token opens the session to its user and is shown to nobody else. ConnectURL,
	// with the token in it, is where to send the user; "" where the image has none
	// or the session has no address yet.
	Token, ConnectURL string
	// Existing: the user had this session before, and its go hook ran.
	Existing bool
}
