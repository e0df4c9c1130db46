package staging

import "time"

// UnplacedZone stands for the zone of sessions whose zone is not known, and for zones that
// no longer exist. No zone has this name: it is no DNS label.
const UnplacedZone = "_unplaced"

// Assignment is what Consul's catalog shows of one assigned session: whose it is, where it
// runs, and whether its own checks pass.
type Assignment struct {
	Session string
	User    User
	// Zone, Image and Staging are names; Staging is "" for a session made on demand.
	Zone, Image, Staging string
	// NodeID and AllocID are Nomad's.
	NodeID, AllocID string
	// Address and Port are those of the session's own service in Consul.
	Address    string
	Port       int
	AssignedAt time.Time
	// ChecksKnown: Consul's checks of the session's own service are known. While they are
	// not, the catalog keeps what it shows of them.
	ChecksKnown bool
	// Passing: these checks pass, and Nomad reports that the session runs. UnhealthySince
	// is since when this is not so, zero where that is not known.
	Passing        bool
	UnhealthySince time.Time
}
