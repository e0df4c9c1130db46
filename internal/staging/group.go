package staging

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
)

// Group is settings of users. A launch names its user's groups; where two set
// the same, the one with the lowest priority number wins.
type Group struct {
	Name string `json:"name"`
	// Priority orders groups: the lowest number wins, and of equal ones the first by name.
	Priority int `json:"priority"`
	// Permissions are those that the group sets; the others are left to other groups.
	Permissions Permissions `json:"permissions,omitempty"`
	// MaxSessionsPerUser bounds how many sessions a user may have at once; nil
	// leaves it to other groups, and without any there is no bound.
	MaxSessionsPerUser *int `json:"max_sessions_per_user,omitempty"`
	// KeepaliveExpiration ends an assigned session for which no keepalive comes
	// for so long; 0 is not set.
	KeepaliveExpiration Duration `json:"keepalive_expiration,omitempty"`
	// SessionTimeLimit ends an assigned session, whatever comes; 0 is not set.
	SessionTimeLimit Duration `json:"session_time_limit,omitempty"`

	// The rest must be there when a container is created: who is in such a
	// group is given sessions on demand.

	// ExposeUserEnvironmentVars puts the launch's user_environment into the session's tasks.
	ExposeUserEnvironmentVars *bool `json:"expose_user_environment_vars,omitempty"`
	// InjectSSHKeys puts the launch's ssh_keys into the file named by
	// GREENROOM_SSH_AUTHORIZED_KEYS.
	InjectSSHKeys *bool `json:"inject_ssh_keys,omitempty"`
	// RunConfig is merged into the main task's driver config, over the image's.
	RunConfig map[string]any `json:"run_config,omitempty"`
	// VolumeMapping is added to the image's; the mappings of all groups combine.
	VolumeMapping []VolumeMapping `json:"volume_mapping,omitempty"`
	// WebFilterPolicy goes before the image's; "" is not set.
	WebFilterPolicy string `json:"web_filter_policy,omitempty"`
}

// Validate returns an *InvalidError, or nil.
func (g Group) Validate() error {
	var p problems
	p.name("name", g.Name)
	p.permissions("permissions", g.Permissions)
	if g.MaxSessionsPerUser != nil && *g.MaxSessionsPerUser < 1 {
		p.add("max_sessions_per_user", "must be at least 1, or absent for no limit, is %d", *g.MaxSessionsPerUser)
	}
	p.term("keepalive_expiration", g.KeepaliveExpiration)
	p.term("session_time_limit", g.SessionTimeLimit)
	p.volumes("volume_mapping", g.VolumeMapping)
	p.policy("web_filter_policy", g.WebFilterPolicy)
	return p.err(fmt.Sprintf("group %q", g.Name))
}

// MinTerm keeps a typing error from ending sessions as soon as they begin.
const MinTerm = Duration(1e9)

// Terms are how long a user may keep a session. Zero means without limit.
type Terms struct {
	// Keepalive ends the session when no keepalive comes for so long.
	Keepalive Duration `json:"keepalive_expiration,omitempty"`
	// TimeLimit ends it so long after its assignment.
	TimeLimit Duration `json:"session_time_limit,omitempty"`
}

// Settings are what a user's groups come to.
type Settings struct {
	Permissions Permissions
	// MaxSessionsPerUser is 0 for no limit.
	MaxSessionsPerUser        int
	Terms                     Terms
	ExposeUserEnvironmentVars bool
	InjectSSHKeys             bool
	RunConfig                 map[string]any
	VolumeMapping             []VolumeMapping
	WebFilterPolicy           string
	// from says which group a setting came from, by the setting's name.
	from map[string]string
}

// Names of settings, as the API spells them and violations give them.
const (
	settingExposeEnvironment = "expose_user_environment_vars"
	settingSSHKeys           = "inject_ssh_keys"
	settingRunConfig         = "run_config"
	settingVolumeMapping     = "volume_mapping"
	settingVolumeMappings    = "volume_mappings"
	settingWebFilterPolicy   = "web_filter_policy"
	settingProfile           = "persistent_profile_path"
)

// Resolve merges groups: of each setting, the value of the group with the
// lowest priority number that has one. Volume mappings of all groups combine;
// where two map the same target, the same rule holds.
func Resolve(groups []Group) Settings {
	groups = slices.SortedFunc(slices.Values(groups), func(a, b Group) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Name, b.Name))
	})
	s := Settings{Permissions: Permissions{}, from: map[string]string{}}
	take := func(setting, group string, is bool) bool {
		if _, taken := s.from[setting]; taken || !is {
			return false
		}
		s.from[setting] = group
		return true
	}
	targets := map[string]bool{}
	for _, g := range groups {
		for x, v := range g.Permissions {
			if take(string(x), g.Name, true) {
				s.Permissions[x] = v
			}
		}
		if take("max_sessions_per_user", g.Name, g.MaxSessionsPerUser != nil) {
			s.MaxSessionsPerUser = *g.MaxSessionsPerUser
		}
		if take("keepalive_expiration", g.Name, g.KeepaliveExpiration != 0) {
			s.Terms.Keepalive = g.KeepaliveExpiration
		}
		if take("session_time_limit", g.Name, g.SessionTimeLimit != 0) {
			s.Terms.TimeLimit = g.SessionTimeLimit
		}
		if take(settingExposeEnvironment, g.Name, g.ExposeUserEnvironmentVars != nil) {
			s.ExposeUserEnvironmentVars = *g.ExposeUserEnvironmentVars
		}
		if take(settingSSHKeys, g.Name, g.InjectSSHKeys != nil) {
			s.InjectSSHKeys = *g.InjectSSHKeys
		}
		if take(settingRunConfig, g.Name, len(g.RunConfig) > 0) {
			s.RunConfig = g.RunConfig
		}
		if take(settingWebFilterPolicy, g.Name, g.WebFilterPolicy != "") {
			s.WebFilterPolicy = g.WebFilterPolicy
		}
		for _, v := range g.VolumeMapping {
			take(settingVolumeMapping, g.Name, true)
			if at := path.Clean(v.Target); !targets[at] {
				targets[at] = true
				s.VolumeMapping = append(s.VolumeMapping, v)
			}
		}
	}
	return s
}

// TermsFor are the terms of a session of an image: of two time limits the
// shorter holds.
func (s Settings) TermsFor(i Image) Terms {
	t := s.Terms
	if i.SessionTimeLimit != 0 && (t.TimeLimit == 0 || i.SessionTimeLimit < t.TimeLimit) {
		t.TimeLimit = i.SessionTimeLimit
	}
	return t
}

// sshKey is a line of an authorized_keys file, without options: type, key and
// an optional comment. Braces would be a template's.
var sshKey = regexp.MustCompile(`^(ssh-|ecdsa-|sk-)[A-Za-z0-9@.-]+ [A-Za-z0-9+/]+={0,3}( [^{}[:cntrl:]]*)?$`)
