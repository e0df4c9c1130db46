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

// NewClaimOf returns a new id for a claim of a broker's launch, with the broker's id in it;
// broker is "" where nobody can see whether the broker is alive.
func NewClaimOf(broker string) string {
	if broker == "" {
		return NewClaimID()
	}
	return NewClaimID() + "." + broker
}

// BrokerOf returns the id of the broker that made a claim; "" where the claim has none.
func BrokerOf(claim string) string {
	_, broker, _ := strings.Cut(claim, ".")
	return broker
}
