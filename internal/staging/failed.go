package staging

import "strings"

// A session's reason begins with one of these if the session failed: its program ended by itself
// or could not start, it could not be placed, or its hook failed; or its checks did not pass for
// too long. One that a user had, and one that was lost with its node, has not failed.
const (
	ReasonFailed    = "failed: "
	ReasonUnhealthy = "unhealthy: "
)

// Failed reports whether a session that has ended for a reason failed.
func Failed(reason string) bool {
	return strings.HasPrefix(reason, ReasonFailed) || strings.HasPrefix(reason, ReasonUnhealthy)
}
