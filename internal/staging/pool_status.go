package staging

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// PoolStatus is the state of a pool: its numbers of sessions, and the conditions that keep
// it from what its config wants.
type PoolStatus struct {
	Zone, Image string
	// Desired, Current and Ready are the pool's numbers of sessions.
	Desired, Current, Ready int
	// DesiredReason says why so many are desired; "" where it is the config's own number.
	DesiredReason string
	// Oldest is when the oldest session that is not ready yet was created; zero if there is
	// none. Usual is how long the pool's sessions usually take to be ready; 0 while that is not
	// known.
	Oldest time.Time
	Usual  time.Duration
	// Unkept: no scaler is at work in the zone, so nothing is on the way.
	Unkept bool
	// Draining: the config was deleted, and the remaining sessions are being ended.
	Draining bool
	// Conditions are read-only.
	Conditions []Condition
}

// Fill is how full a pool is.
type Fill string

// How full a pool can be. Short and Bare are degraded.
const (
	// Full: at least as many sessions are ready as are desired.
	Full Fill = "full"
	// Filling: fewer are ready than desired, and the missing ones are on the way, none of them
	// for longer than usual.
	Filling Fill = "filling"
	// Short: some sessions are ready, but fewer than desired, and not only because the missing
	// ones take their usual time.
	Short Fill = "short"
	// Bare: as Short, and no session is ready.
	Bare Fill = "bare"
)

// Fills are all values of Fill.
var Fills = []Fill{Full, Filling, Short, Bare}

// FillWords says what each value means, for people who read a table.
const FillWords = `FILL says how full a pool is. full: at least the desired number is ready. filling:
fewer are, and those that are missing are on the way, none of them late. short: fewer
are, and something is in the way or late. bare: as short, and none is ready.`

// Degraded: the pool is not as it should be, and time alone may not mend it.
func (f Fill) Degraded() bool { return f == Short || f == Bare }

// How long a session may be on the way before it counts as late: usualTimes as long as its
// pool's sessions usually take, but at least shortestLate, so that one that takes a little
// longer than seconds is no alarm.
const (
	usualTimes   = 2
	shortestLate = 30 * time.Second
	// DefaultUsual is taken for usual while no session of the pool has become ready yet.
	DefaultUsual = time.Minute
)

// LateAfter returns how long a session of a pool may take to be ready before it is late. usual
// is how long the pool's sessions usually take; 0 for not known.
func LateAfter(usual time.Duration) time.Duration {
	return max(shortestLate, usualTimes*cmp.Or(usual, DefaultUsual))
}

// LateAt returns when the oldest session on the way is late; zero if none is on the way.
func (s PoolStatus) LateAt() time.Time {
	if s.Oldest.IsZero() {
		return time.Time{}
	}
	return s.Oldest.Add(LateAfter(s.Usual))
}

// Fill returns how full the pool is at now. A pool with no desired sessions is full, and so is
// one that is being drained. A missing session that does not exist yet is on the way, because
// the scaler makes it at once, or says in a condition why not. A pool with a condition is not
// filling, since that may be what keeps it from it: its sessions may start again and again.
func (s PoolStatus) Fill(now time.Time) Fill {
	late := !s.Oldest.IsZero() && !now.Before(s.LateAt())
	switch {
	case s.Draining || s.Ready >= s.Desired:
		return Full
	case len(s.Conditions) == 0 && !s.Unkept && !late:
		return Filling
	case s.Ready == 0:
		return Bare
	}
	return Short
}

// Lack says in words what a degraded pool lacks, where no condition does; "" for a pool that is
// not degraded.
func (s PoolStatus) Lack(now time.Time) string {
	if !s.Fill(now).Degraded() {
		return ""
	}
	text := fmt.Sprintf("%d of %d ready", s.Ready, s.Desired)
	if len(s.Conditions) == 0 && !s.Oldest.IsZero() && !s.Unkept {
		usual := "usually a session takes " + s.Usual.Round(time.Second).String()
		if s.Usual == 0 {
			usual = "no session has become ready yet"
		}
		text += fmt.Sprintf(", and one is on the way for %s; %s", now.Sub(s.Oldest).Round(time.Second), usual)
	}
	return text
}

// Summary returns the status as text for people: a line of numbers, one that says why so
// many are desired, and one per condition.
func (s PoolStatus) Summary(now time.Time) string {
	if s.Draining {
		return "its staging config is deleted; left to be ended: " + Count(s.Current, "session")
	}
	lines := []string{fmt.Sprintf("desired %d, current %d, ready %d", s.Desired, s.Current, s.Ready)}
	if s.Fill(now) == Filling {
		lines[0] += ", filling"
	}
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
