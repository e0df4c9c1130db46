package staging

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Image is what a session runs: a Nomad jobspec template, hooks and run settings.
type Image struct {
	Name string `json:"name"`
	// Enabled: false drains the image's pools and refuses its launches; nil is true.
	Enabled *bool `json:"enabled,omitempty"`
	// Jobspec is a Nomad job in HCL with one group of count 1; see jobspecs/.
	Jobspec string `json:"jobspec"`
	// Variables are the values of the jobspec's HCL variables, as strings.
	Variables map[string]string `json:"variables,omitempty"`
	// RestrictToZones are the only zones that may run the image; empty means all zones.
	RestrictToZones []string `json:"restrict_to_zones,omitempty"`
	// Labels are what launches choose the image by; see Selector.
	Labels map[string]string `json:"labels,omitempty"`
	// MaxSessions is how many sessions of the image may exist at once, staged, assigned and made
	// on demand, in all zones together; 0 means no limit. MaxSessionsPerUser is how many of them
	// one user may have, beside the limit of the user's groups.
	MaxSessions        int `json:"max_sessions,omitempty"`
	MaxSessionsPerUser int `json:"max_sessions_per_user,omitempty"`
	// AllowedGroups are the only groups whose users may launch the image; empty means all
	// users. For others it does not exist.
	AllowedGroups []string `json:"allowed_groups,omitempty"`
	// RunConfig is merged into the main task's driver config.
	RunConfig map[string]any `json:"run_config,omitempty"`
	// VolumeMappings are directories of the node that sessions see.
	VolumeMappings []VolumeMapping `json:"volume_mappings,omitempty"`
	// PersistentProfilePath is a directory of the node, usually with {user_id}
	// in it, that a session sees at ProfileTarget; "" for none.
	PersistentProfilePath string `json:"persistent_profile_path,omitempty"`
	// WebFilterPolicy names the policy that a session's programs must follow. It is in their
	// variable GREENROOM_WEB_FILTER_POLICY.
	WebFilterPolicy string `json:"web_filter_policy,omitempty"`
	// SessionTimeLimit ends an assigned session this long after its assignment; 0 means no
	// limit. A group's limit may be shorter.
	SessionTimeLimit Duration `json:"session_time_limit,omitempty"`
	// UnhealthyExpiration ends an assigned session whose checks have failed for this time
	// without a break; 0 means never. A group's goes before it.
	UnhealthyExpiration Duration `json:"unhealthy_expiration,omitempty"`
	// IdleExpiration ends an assigned session that was not used for this time, after a warning;
	// 0 means never. A group's goes before it.
	IdleExpiration Duration `json:"idle_expiration,omitempty"`
	// UnvisitedExpiration ends an assigned session that its user has not opened this long after
	// its assignment; 0 means never. A group's goes before it.
	UnvisitedExpiration Duration `json:"unvisited_expiration,omitempty"`
	// WaitForRoom is how long a session of it that is made on demand may wait for room, queued
	// in Nomad; nil is not set. A launch's own goes before it, and it before a group's.
	WaitForRoom *Duration `json:"wait_for_room,omitempty"`
	// Patience is how long its sessions are waited for before they have users.
	Patience Patience `json:"patience,omitzero"`
	// ConnectURL is the URL at which the user opens the session, with tokens such as
	// {address}, {port_http}, {session_id} and {token}; "" for none.
	ConnectURL string `json:"connect_url,omitempty"`
	// ExecConfig holds the commands to run in a session.
	ExecConfig ExecConfig `json:"exec_config,omitzero"`
}

// ProfileTarget is where a session sees its user's persistent profile.
const ProfileTarget = "/profile"

// IsEnabled reports whether the image may be launched and staged.
func (i Image) IsEnabled() bool { return i.Enabled == nil || *i.Enabled }

// AllowedIn reports whether the image may run in a zone.
func (i Image) AllowedIn(zone string) bool {
	return len(i.RestrictToZones) == 0 || slices.Contains(i.RestrictToZones, zone)
}

// WhyNotStageable explains which settings of the image keep every launch from a staged
// session, so that staging it would be a waste. It returns "" if the image can be staged.
func (i Image) WhyNotStageable() string {
	var found []string
	for _, v := range imageViolations(i) {
		found = append(found, v.Setting)
	}
	if len(found) == 0 {
		return ""
	}
	return fmt.Sprintf("image %s has %s, which must be there when a user's container is created: no launch can take a staged session of it",
		i.Name, strings.Join(found, " and "))
}

// MaxJobspecBytes is the largest jobspec that is stored. Consul refuses a KV value over 512
// KiB, which must also hold the rest of the image.
const MaxJobspecBytes = 256 << 10

// Validate returns an *InvalidError, or nil. It does not check whether the jobspec parses
// or whether its driver supports the run config: that needs Nomad.
func (i Image) Validate() error {
	var p problems
	p.name("name", i.Name)
	switch {
	case i.Jobspec == "":
		p.add("jobspec", "must hold a Nomad job in HCL")
	case len(i.Jobspec) > MaxJobspecBytes:
		p.add("jobspec", "must be at most %d bytes, is %d", MaxJobspecBytes, len(i.Jobspec))
	}
	for k := range i.Variables {
		if !envKey.MatchString(k) {
			p.add("variables."+k, "is not a name for an HCL variable")
		}
	}
	for n, zone := range i.RestrictToZones {
		p.name(fmt.Sprintf("restrict_to_zones[%d]", n), zone)
	}
	p.allowedGroups(i.AllowedGroups)
	p.labels("labels", i.Labels)
	p.maxSessions(settingMaxSessions, i.MaxSessions)
	p.maxSessions(settingMaxSessionsPerUser, i.MaxSessionsPerUser)
	p.volumes("volume_mappings", i.VolumeMappings)
	if i.PersistentProfilePath != "" {
		p.hostPath("persistent_profile_path", i.PersistentProfilePath)
		for n, v := range i.VolumeMappings {
			if path.Clean(v.Target) == ProfileTarget {
				p.add(fmt.Sprintf("volume_mappings[%d].target", n), "is the target of the persistent profile; use another one")
			}
		}
	}
	p.policy("web_filter_policy", i.WebFilterPolicy)
	p.term("session_time_limit", i.SessionTimeLimit)
	p.term("unhealthy_expiration", i.UnhealthyExpiration)
	p.termFrom("idle_expiration", i.IdleExpiration, MinIdleTerm)
	p.term("unvisited_expiration", i.UnvisitedExpiration)
	p.roomWait(i.WaitForRoom)
	p.patience("patience", i.Patience)
	p.connectURL(i.ConnectURL)
	p.execConfig("exec_config", i.ExecConfig)
	return p.err(fmt.Sprintf("image %q", i.Name))
}

const maxPolicyLength = 256

func (p *problems) policy(field, value string) { p.bounded(field, value, maxPolicyLength) }

func (p *problems) term(field string, d Duration) { p.termFrom(field, d, MinTerm) }

func (p *problems) termFrom(field string, d, least Duration) {
	if d != 0 && d < least {
		p.add(field, "must be at least %s, or absent, is %s", least.Brief(), d.Brief())
	}
}
