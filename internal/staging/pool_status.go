package staging

import (
	"fmt"
	"strings"
)

// PoolStatus is how a pool stands: its numbers, and why they are not as its config
// wants them.
type PoolStatus struct {
	Zone, Image string
	// Desired, Current and Ready are the pool's numbers of sessions.
	Desired, Current, Ready int
	// Draining: the config is gone, and what is left of its sessions is being ended.
	Draining bool
	// Conditions must not be written to.
	Conditions []Condition
}

// Fill says how good a status is.
type Fill string

// The degrees.
const (
	// Full: as many sessions are ready as are desired.
	Full Fill = "full"
	// Short: some are ready, fewer than desired.
	Short Fill = "short"
	// Bare: none is ready, though some are desired.
	Bare Fill = "bare"
)

// Fill is that of the status. A pool that desires nothing is full, and so is one
// that is to go.
func (s PoolStatus) Fill() Fill {
	switch {
	case s.Draining || s.Ready >= s.Desired:
		return Full
	case s.Ready == 0:
		return Bare
	}
	return Short
}

// Summary returns the status as text for people: a line of numbers, and one line per
// condition.
func (s PoolStatus) Summary() string {
	if s.Draining {
		return fmt.Sprintf("its staging config is deleted: %d sessions are left to be ended", s.Current)
	}
	lines := []string{fmt.Sprintf("desired %d, current %d, ready %d", s.Desired, s.Current, s.Ready)}
	for _, c := range s.Conditions {
		lines = append(lines, fmt.Sprintf("%s: %s", c.Type, c.Message))
	}
	return strings.Join(lines, "\n")
}

// poolStatusServicePrefix begins the name of the Consul service that tells how a pool
// stands. It is not that of the pool's sessions: theirs has an instance for each, some
// of which are always only starting, and Nomad registers it.
const poolStatusServicePrefix = "greenroom-staging-"

// PoolStatusService is the Consul service that tells how a pool stands.
func PoolStatusService(config string) string { return poolStatusServicePrefix + config }

// PoolOfStatusService is the pool of such a service; ok is false for any other.
func PoolOfStatusService(service string) (config string, ok bool) {
	return strings.CutPrefix(service, poolStatusServicePrefix)
}
