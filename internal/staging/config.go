package staging

import (
	"fmt"
	"time"
)

// Config is a staging config: so many ready sessions of an image in a zone.
// The sessions that it keeps are its pool, which goes by the config's name.
type Config struct {
	Name string `json:"name"`
	// Zone and Image are names of resources that must exist.
	Zone  string `json:"zone"`
	Image string `json:"image"`
	// DesiredSessions is how many unassigned sessions the scaler keeps; 0 drains the pool.
	DesiredSessions int `json:"desired_sessions"`
	// Expiration is how long a session may wait unassigned before it is
	// replaced by a fresh one; 0 means that it never is.
	Expiration Duration `json:"expiration,omitempty"`
}

// MinExpiration keeps a typing error ("24s" for "24h") from turning a pool
// into a mill that starts and stops sessions without end.
const MinExpiration = Duration(10 * time.Second)

// Limits bound what a caller may ask for; the broker's configuration sets them.
type Limits struct {
	// MaxDesiredSessions is the largest desired_sessions of one config.
	MaxDesiredSessions int
}

// DefaultLimits are used where nothing else is configured.
var DefaultLimits = Limits{MaxDesiredSessions: 1000}

// Validate returns an *InvalidError, or nil. It does not look for the zone
// and the image: the registry knows those.
func (c Config) Validate(l Limits) error {
	var p problems
	p.name("name", c.Name)
	p.name("zone", c.Zone)
	p.name("image", c.Image)
	if c.DesiredSessions < 0 || c.DesiredSessions > l.MaxDesiredSessions {
		p.add("desired_sessions", "must be between 0 and %d, is %d", l.MaxDesiredSessions, c.DesiredSessions)
	}
	if c.Expiration != 0 && c.Expiration < MinExpiration {
		p.add("expiration", "must be at least %s, or absent for none, is %s", MinExpiration, c.Expiration)
	}
	return p.err(fmt.Sprintf("staging config %q", c.Name))
}
