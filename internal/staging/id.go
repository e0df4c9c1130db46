package staging

import (
	"strings"

	"github.com/oklog/ulid/v2"
)

// SessionPrefix is the prefix of every session's id, and so of the id of each of
// greenroom's Nomad jobs.
const SessionPrefix = "gr-"

// NewSessionID returns a new, unique id. Ids sort by their time of creation.
func NewSessionID() string { return SessionPrefix + strings.ToLower(ulid.Make().String()) }

// NewClaimID returns a new, unique id for a launch's claim.
func NewClaimID() string { return strings.ToLower(ulid.Make().String()) }
