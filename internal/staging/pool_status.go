package staging

import (
	"fmt"
	"strings"
)

// PoolStatus is the state of a pool: its numbers of sessions, and the conditions that keep
// it from what its config wants.
type PoolStatus struct {
	Zone, Image string
	// Desired, Current and Ready are the pool's numbers of sessions.
	Desired, Current, Ready int
	// DesiredReason says why so many are desired; "" where it is the config's own number.
	DesiredReason string
	// Draining: the config was deleted, and the remaining sessions are being ended.
	Draining bool
	// Conditions are read-only.
	Conditions []Condition
}

// Fill is how full a pool is.
type Fill string

// How full a pool can be.
const (
	// Full: at least as many sessions are ready as are desired.
	Full Fill = "full"
	// Short: some sessions are ready, but fewer than desired.
	Short Fill = "short"
	// Bare: no session is ready, though some are desired.
	Bare Fill = "bare"
)

// Fill returns how full the pool is. A pool with no desired sessions is full, and so is
// one that is being drained.
func (s PoolStatus) Fill() Fill {
	switch {
	case s.Draining || s.Ready >= s.Desired:
		return Full
	case s.Ready == 0:
		return Bare
	}
	return Short
}

// Summary returns the status as text for people: a line of numbers, one that says why so
// many are desired, and one per condition.
func (s PoolStatus) Summary() string {
	if s.Draining {
		return fmt.Sprintf("its staging config is deleted: %d sessions are left to be ended", s.Current)
	}
	lines := []string{fmt.Sprintf("desired %d, current %d, ready %d", s.Desired, s.Current, s.Ready)}
	if s.DesiredReason != "" {
		lines = append(lines, s.DesiredReason)
	}
	for _, c := range s.Conditions {
		lines = append(lines, fmt.Sprintf("%s: %s", c.Type, c.Message))
	}
	return strings.Join(lines, "\n")
}

// poolStatusServicePrefix is the prefix of the Consul service that shows a pool's status.
// The service of the pool's sessions is another one: Nomad registers it, with an instance
// per session, of which some are always starting.
const poolStatusServicePrefix = "greenroom-staging-"

// PoolStatusService returns the name of the Consul service that shows a pool's status.
func PoolStatusService(config string) string { return poolStatusServicePrefix + config }
