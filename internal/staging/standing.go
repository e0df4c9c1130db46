package staging

import (
	"fmt"
	"strings"
)

// Standing is how a pool stands: its numbers, and why they are not as its config
// wants them.
type Standing struct {
	Zone, Image string
	// Desired, Current and Ready are the pool's numbers of sessions.
	Desired, Current, Ready int
	// Draining: the config is gone, and what is left of its sessions is being ended.
	Draining bool
	// Conditions must not be written to.
	Conditions []Condition
}

// Degree says how good a standing is.
type Degree string

// The degrees.
const (
	// Full: as many sessions are ready as are desired.
	Full Degree = "full"
	// Short: some are ready, fewer than desired.
	Short Degree = "short"
	// Bare: none is ready, though some are desired.
	Bare Degree = "bare"
)

// Degree is that of the standing. A pool that desires nothing is full, and so is one
// that is to go.
func (s Standing) Degree() Degree {
	switch {
	case s.Draining || s.Ready >= s.Desired:
		return Full
	case s.Ready == 0:
		return Bare
	}
	return Short
}

// Words tell the standing to people: a line of numbers, and one for each condition.
func (s Standing) Words() string {
	if s.Draining {
		return fmt.Sprintf("its staging config is deleted: %d sessions are left to be ended", s.Current)
	}
	lines := []string{fmt.Sprintf("desired %d, current %d, ready %d", s.Desired, s.Current, s.Ready)}
	for _, c := range s.Conditions {
		lines = append(lines, fmt.Sprintf("%s: %s", c.Type, c.Message))
	}
	return strings.Join(lines, "\n")
}

// standingServicePrefix begins the name of the Consul service that tells how a pool
// stands. It is not that of the pool's sessions: theirs has an instance for each, some
// of which are always only starting, and Nomad registers it.
const standingServicePrefix = "greenroom-staging-"

// StandingService is the Consul service that tells how a pool stands.
func StandingService(config string) string { return standingServicePrefix + config }

// PoolOfStanding is the pool of such a service; ok is false for any other.
func PoolOfStanding(service string) (config string, ok bool) {
	return strings.CutPrefix(service, standingServicePrefix)
}
