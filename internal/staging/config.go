package staging

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"
)

// Config is a staging config: a number of ready sessions of an image in a zone. Its
// sessions are its pool, which has the config's name.
type Config struct {
	Name string `json:"name"`
	// Zone and Image are names of resources that must exist.
	Zone  string `json:"zone"`
	Image string `json:"image"`
	// DesiredSessions is how many unassigned sessions the scaler keeps; 0 drains the pool.
	DesiredSessions int `json:"desired_sessions"`
	// MaxSessions is how many sessions of the pool may exist at once, unassigned and assigned
	// together; 0 means no limit.
	MaxSessions int `json:"max_sessions,omitempty"`
	// Labels are what launches choose the pool by, over those of its image; see Selector.
	Labels map[string]string `json:"labels,omitempty"`
	// Expiration is how long a session may wait unassigned before a fresh one replaces it;
	// 0 means without limit.
	Expiration Duration `json:"expiration,omitempty"`
	// Permissions are those that the sessions are created with. A user with other
	// permissions does not get a session of this pool.
	Permissions Permissions `json:"permissions,omitempty"`
	// MaxUnavailable is how many of the desired sessions a new revision may
	// replace at a time: a number ("2") or a share of the desired ("25%"); "" is
	// DefaultMaxUnavailable.
	MaxUnavailable string `json:"max_unavailable,omitempty"`
	// Spread is the property of nodes over whose values the pool's sessions are spread evenly,
	// such as ${meta.rack}: see SpreadProperty. "" is DefaultSpread, SpreadNone switches it off.
	Spread string `json:"spread,omitempty"`
	// DistinctHosts: no two sessions of the pool run on one node, assigned ones counted. Those
	// that find none wait.
	DistinctHosts bool `json:"distinct_hosts,omitempty"`
	// Update says how the pool gets from one revision to the next; "" is UpdateRolling.
	Update UpdateMode `json:"update,omitempty"`
	// KeepFailed is how many of the pool's sessions that failed last leave their jobs in Nomad,
	// stopped.
	KeepFailed int `json:"keep_failed,omitempty"`
	// Priority says whose sessions make room: where a launch cannot be placed in the zone,
	// unassigned sessions of pools with a lower priority than the launch's are retired; see
	// Rank and Resources.LaunchRank. 0 is DefaultPriority.
	Priority int `json:"priority,omitempty"`
	// Schedule sets other numbers of sessions at certain times. The highest number that
	// applies wins over DesiredSessions.
	Schedule []Schedule `json:"schedule,omitempty"`
	// Sizing has the pool follow its demand; nil where DesiredSessions and Schedule decide alone.
	Sizing *Sizing `json:"sizing,omitempty"`
}

// DefaultMaxUnavailable lets a new revision replace a quarter of a pool at a time.
const DefaultMaxUnavailable = "25%"

// Unavailable returns how many of the desired sessions may be replaced at a time. A share
// is rounded down, but to at least one, because otherwise nothing would be replaced.
func (c Config) Unavailable(desired int) int {
	n, percent, err := parseMaxUnavailable(c.MaxUnavailable)
	if err != nil {
		n, percent, _ = parseMaxUnavailable(DefaultMaxUnavailable)
	}
	if percent {
		n = desired * n / 100
	}
	return max(1, n)
}

func parseMaxUnavailable(s string) (n int, percent bool, err error) {
	if s == "" {
		s = DefaultMaxUnavailable
	}
	s, percent = strings.CutSuffix(s, "%")
	n, err = strconv.Atoi(s)
	if err == nil && (n < 1 || percent && n > 100) {
		err = strconv.ErrRange
	}
	return n, percent, err
}

// ExpiresAt returns when an unassigned session is due for replacement, zero for never:
// after the config's expiration, less up to a tenth of it, so that a pool that was filled
// at once does not expire at once. The reduction depends only on the session's id, so
// every program computes the same time.
func (c Config) ExpiresAt(session string, created time.Time) time.Time {
	if c.Expiration <= 0 {
		return time.Time{}
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(session))
	share := float64(h.Sum32()) / (1 << 32)
	return created.Add(c.Expiration.Std() - time.Duration(share*0.1*float64(c.Expiration)))
}

// MaxKeepFailed is the largest keep_failed: Nomad's nodes keep the files of what is kept.
const MaxKeepFailed = 20

// MinExpiration prevents a pool that only starts and stops sessions because of a typing
// error ("1s" for "1h").
const MinExpiration = Duration(10 * time.Second)

// Limits bound the values of resources; the broker's configuration sets them.
type Limits struct {
	// MaxDesiredSessions is the largest desired_sessions of one config; 0 where it is not
	// known: then only what no broker accepts is found.
	MaxDesiredSessions int
	// Stored: the value is read from where it is stored. What earlier versions accepted and
	// does no harm is not refused then.
	Stored bool
}

// DefaultLimits are used if nothing else is configured.
var DefaultLimits = Limits{MaxDesiredSessions: 1000}

// Validate returns an *InvalidError, or nil. It does not check that the zone and the image
// exist.
func (c Config) Validate(l Limits) error {
	var p problems
	p.name("name", c.Name)
	p.name("zone", c.Zone)
	p.name("image", c.Image)
	p.desired("desired_sessions", c.DesiredSessions, l)
	p.maxSessions(settingMaxSessions, c.MaxSessions)
	p.labels("labels", c.Labels)
	if c.Expiration != 0 && c.Expiration < MinExpiration {
		p.add("expiration", "must be at least %s, or absent for none, is %s", MinExpiration.Brief(), c.Expiration.Brief())
	}
	p.permissions("permissions", c.Permissions)
	if _, _, err := parseMaxUnavailable(c.MaxUnavailable); err != nil {
		p.add("max_unavailable", "must be a number from 1, or a share from 1%% to 100%%, is %q", c.MaxUnavailable)
	}
	p.spread("spread", c.Spread)
	if c.KeepFailed < 0 || c.KeepFailed > MaxKeepFailed {
		p.add("keep_failed", "must be between 0 and %d, is %d", MaxKeepFailed, c.KeepFailed)
	}
	p.updateMode("update", c.Update)
	if c.Priority < 0 || c.Priority > MaxPriority {
		p.add("priority", "must be between 1 and %d, or absent for %d, is %d", MaxPriority, DefaultPriority, c.Priority)
	}
	p.schedules("schedule", c.Schedule, l)
	p.sizing("sizing", c.Sizing, l)
	return p.err(fmt.Sprintf("staging config %q", c.Name))
}
