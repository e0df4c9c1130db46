package staging

import (
	"strings"

	"github.com/oklog/ulid/v2"
)

// SessionPrefix begins every session's id, and so the id of every Nomad job
// that is greenroom's.
const SessionPrefix = "gr-"

// NewSessionID gives a fresh id: unique, and sorted by its time of creation.
func NewSessionID() string { return SessionPrefix + strings.ToLower(ulid.Make().String()) }

// NewClaimID gives a fresh id for a launch's claim.
func NewClaimID() string { return strings.ToLower(ulid.Make().String()) }
