package staging

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Group holds settings of users. A launch names its user's groups. If two of them have the
// same setting, the one with the lowest priority number wins.
type Group struct {
	Name string `json:"name"`
	// Priority orders groups: the lowest number wins, and of equal numbers the first name.
	Priority int `json:"priority"`
	// Default makes it the group of every user who has none of greenroom's groups. At most
	// one group is.
	Default bool `json:"default,omitempty"`
	// Permissions are those that the group sets. Other groups may set the others.
	Permissions Permissions `json:"permissions,omitempty"`
	// MaxSessionsPerUser is how many sessions a user may have at once; nil is not set. If no
	// group sets it, the broker's own limit applies.
	MaxSessionsPerUser *int `json:"max_sessions_per_user,omitempty"`
	// KeepaliveExpiration ends an assigned session after this time without a keepalive; 0 is
	// not set.
	KeepaliveExpiration Duration `json:"keepalive_expiration,omitempty"`
	// SessionTimeLimit ends an assigned session this long after its assignment; 0 is not set.
	SessionTimeLimit Duration `json:"session_time_limit,omitempty"`
	// MaxExtension is by how much the time limit of a session may be extended in all; 0 is not
	// set: then it cannot be.
	MaxExtension Duration `json:"max_extension,omitempty"`
	// UnhealthyExpiration ends an assigned session whose checks have failed for this time
	// without a break; 0 is not set.
	UnhealthyExpiration Duration `json:"unhealthy_expiration,omitempty"`
	// IdleExpiration ends an assigned session that was not used for this time, after a warning;
	// 0 is not set.
	IdleExpiration Duration `json:"idle_expiration,omitempty"`
	// UnvisitedExpiration ends an assigned session that its user has not opened this long after
	// its assignment; 0 is not set.
	UnvisitedExpiration Duration `json:"unvisited_expiration,omitempty"`

	// WaitForRoom is how long a session made on demand may wait for room, queued in Nomad; nil
	// is not set. A launch's own and an image's go before it.
	WaitForRoom *Duration `json:"wait_for_room,omitempty"`

	// AllowedEnvironment are variables, or PREFIX_* for all that begin so, that a launch for a
	// user of the group may set although loaders, shells or interpreters act on them, such as
	// LD_PRELOAD: hooks may run as root. The image's own values go before. The lists of all
	// groups combine.
	AllowedEnvironment []string `json:"allowed_environment,omitempty"`

	// The following settings take effect when a container is created, so users of a group
	// with one of them get on-demand sessions.

	// ExposeUserEnvironmentVars puts the launch's user_environment into the session's tasks.
	ExposeUserEnvironmentVars *bool `json:"expose_user_environment_vars,omitempty"`
	// InjectSSHKeys puts the launch's ssh_keys into the file named by
	// GREENROOM_SSH_AUTHORIZED_KEYS.
	InjectSSHKeys *bool `json:"inject_ssh_keys,omitempty"`
	// RunConfig is merged into the main task's driver config, over the image's.
	RunConfig map[string]any `json:"run_config,omitempty"`
	// VolumeMapping is added to the image's; the mappings of all groups combine.
	VolumeMapping []VolumeMapping `json:"volume_mapping,omitempty"`
	// WebFilterPolicy overrides the image's; "" is not set.
	WebFilterPolicy string `json:"web_filter_policy,omitempty"`
}

// Validate returns an *InvalidError, or nil.
func (g Group) Validate() error {
	var p problems
	p.name("name", g.Name)
	p.permissions("permissions", g.Permissions)
	if g.MaxSessionsPerUser != nil && *g.MaxSessionsPerUser < 1 {
		p.add("max_sessions_per_user", "must be at least 1, or absent for the broker's own limit, is %d", *g.MaxSessionsPerUser)
	}
	p.term("keepalive_expiration", g.KeepaliveExpiration)
	p.term("session_time_limit", g.SessionTimeLimit)
	p.term("max_extension", g.MaxExtension)
	p.term("unhealthy_expiration", g.UnhealthyExpiration)
	p.termFrom("idle_expiration", g.IdleExpiration, MinIdleTerm)
	p.term("unvisited_expiration", g.UnvisitedExpiration)
	p.roomWait(g.WaitForRoom)
	p.allowedEnvironment("allowed_environment", g.AllowedEnvironment)
	p.volumes("volume_mapping", g.VolumeMapping)
	p.policy("web_filter_policy", g.WebFilterPolicy)
	return p.err(fmt.Sprintf("group %q", g.Name))
}

// MinTerm prevents that a typing error ends sessions as soon as they begin.
const MinTerm = Duration(1e9)

// UseInterval is how often Redis is told that a session is in use. MinIdleTerm leaves room for that:
// a shorter term would end sessions that are used all the time.
const (
	UseInterval = 10 * time.Second
	MinIdleTerm = Duration(2 * UseInterval)
)

// Terms are how long a user may keep a session. Zero means without limit.
type Terms struct {
	// Keepalive ends the session after this time without a keepalive.
	Keepalive Duration `json:"keepalive_expiration,omitempty"`
	// TimeLimit ends the session this long after its assignment.
	TimeLimit Duration `json:"session_time_limit,omitempty"`
	// MaxExtension is by how much TimeLimit may be extended in all, Extended by how much it was.
	MaxExtension Duration `json:"max_extension,omitempty"`
	Extended     Duration `json:"extended,omitempty"`
	// Unhealthy ends the session once its checks have failed for this time without a break.
	Unhealthy Duration `json:"unhealthy_expiration,omitempty"`
	// Idle ends the session after this time without use: without a request through a gateway or
	// by authorize, and without a keepalive. Its user is warned before; see IdleWarning.
	Idle Duration `json:"idle_expiration,omitempty"`
	// Unvisited ends the session this long after its assignment if it was never used till then.
	Unvisited Duration `json:"unvisited_expiration,omitempty"`
	// Groups are the names of the user's groups that applied, the default group among them, with
	// commas between, so that terms can be compared; "" in what older versions stored.
	Groups string `json:"groups,omitempty"`
}

// GroupNames returns the names in Groups.
func (t Terms) GroupNames() []string {
	if t.Groups == "" {
		return nil
	}
	return strings.Split(t.Groups, ",")
}

// Settings are the merged settings of a user's groups.
type Settings struct {
	Permissions Permissions
	// MaxSessionsPerUser is 0 where no group sets it.
	MaxSessionsPerUser int
	Terms              Terms
	// WaitForRoom is nil where no group sets it.
	WaitForRoom *Duration
	// AllowedEnvironment are those of all groups.
	AllowedEnvironment        []string
	ExposeUserEnvironmentVars bool
	InjectSSHKeys             bool
	RunConfig                 map[string]any
	VolumeMapping             []VolumeMapping
	WebFilterPolicy           string
	// from has the group that a setting came from, by the setting's name.
	from map[string]string
}

// Names of settings, as in the API and in violations.
const (
	settingExposeEnvironment  = "expose_user_environment_vars"
	settingSSHKeys            = "inject_ssh_keys"
	settingRunConfig          = "run_config"
	settingVolumeMapping      = "volume_mapping"
	settingVolumeMappings     = "volume_mappings"
	settingWebFilterPolicy    = "web_filter_policy"
	settingMaxSessions        = "max_sessions"
	settingMaxSessionsPerUser = "max_sessions_per_user"
	settingProfile            = "persistent_profile_path"
)

// Resolve merges groups: each setting has the value of the group with the lowest priority
// number that sets it. The volume mappings of all groups are combined; for each target the
// same rule applies. So are the variables that they allow.
func Resolve(groups []Group) Settings {
	groups = slices.SortedFunc(slices.Values(groups), firstOf)
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
		if take(settingMaxSessionsPerUser, g.Name, g.MaxSessionsPerUser != nil) {
			s.MaxSessionsPerUser = *g.MaxSessionsPerUser
		}
		if take("keepalive_expiration", g.Name, g.KeepaliveExpiration != 0) {
			s.Terms.Keepalive = g.KeepaliveExpiration
		}
		if take("session_time_limit", g.Name, g.SessionTimeLimit != 0) {
			s.Terms.TimeLimit = g.SessionTimeLimit
		}
		if take("max_extension", g.Name, g.MaxExtension != 0) {
			s.Terms.MaxExtension = g.MaxExtension
		}
		if take("unhealthy_expiration", g.Name, g.UnhealthyExpiration != 0) {
			s.Terms.Unhealthy = g.UnhealthyExpiration
		}
		if take("idle_expiration", g.Name, g.IdleExpiration != 0) {
			s.Terms.Idle = g.IdleExpiration
		}
		if take("unvisited_expiration", g.Name, g.UnvisitedExpiration != 0) {
			s.Terms.Unvisited = g.UnvisitedExpiration
		}
		if take("wait_for_room", g.Name, g.WaitForRoom != nil) {
			s.WaitForRoom = g.WaitForRoom
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
		s.AllowedEnvironment = append(s.AllowedEnvironment, g.AllowedEnvironment...)
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

// MaxSessionsFrom returns the group that sets MaxSessionsPerUser; "" where none does.
func (s Settings) MaxSessionsFrom() string { return s.from[settingMaxSessionsPerUser] }

// TermsFor returns the terms of a session of an image. The shorter of two time limits
// applies. The groups' unhealthy_expiration goes before the image's, and so do their
// idle_expiration and unvisited_expiration.
func (s Settings) TermsFor(i Image) Terms {
	t := s.Terms
	if i.SessionTimeLimit != 0 && (t.TimeLimit == 0 || i.SessionTimeLimit < t.TimeLimit) {
		t.TimeLimit = i.SessionTimeLimit
	}
	t.Unhealthy = cmp.Or(t.Unhealthy, i.UnhealthyExpiration)
	t.Idle = cmp.Or(t.Idle, i.IdleExpiration)
	t.Unvisited = cmp.Or(t.Unvisited, i.UnvisitedExpiration)
	return t
}

// sshKey matches a line of an authorized_keys file without options: type, key and an
// optional comment. Braces are not allowed, because a template would interpret them.
var sshKey = regexp.MustCompile(`^(ssh-|ecdsa-|sk-)[A-Za-z0-9@.-]+ [A-Za-z0-9+/]+={0,3}( [^{}[:cntrl:]]*)?$`)
