package resources

import (
	"encoding/json"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/greenroom/greenroom/internal/staging"
)

// The blocks of a resource file, which are also the kinds of resources.
const (
	blockZone    = "zone"
	blockImage   = "image"
	blockGroup   = "group"
	blockStaging = "staging"
	blockWebhook = "webhook"
)

var fileSchema = &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
	{Type: blockZone, LabelNames: []string{"name"}},
	{Type: blockImage, LabelNames: []string{"name"}},
	{Type: blockGroup, LabelNames: []string{"name"}},
	{Type: blockStaging, LabelNames: []string{"name"}},
	{Type: blockWebhook, LabelNames: []string{"name"}},
}}

// The contents of the blocks.
type (
	zoneBlock struct {
		Region               string   `hcl:"region,optional"`
		Datacenters          []string `hcl:"datacenters,optional"`
		NodePool             string   `hcl:"node_pool,optional"`
		Namespace            string   `hcl:"namespace,optional"`
		MaxSessions          int      `hcl:"max_sessions,optional"`
		SearchAlternateZones bool     `hcl:"search_alternate_zones,optional"`
		AlternateZones       []string `hcl:"alternate_zones,optional"`
		Peer                 string   `hcl:"peer,optional"`
		PeerZone             string   `hcl:"peer_zone,optional"`
		AllowOriginDomain    string   `hcl:"allow_origin_domain,optional"`
		UpstreamAuthAddress  string   `hcl:"upstream_auth_address,optional"`
		AllowedGroups        []string `hcl:"allowed_groups,optional"`
	}
	imageBlock struct {
		Enabled               *bool             `hcl:"enabled,optional"`
		Jobspec               string            `hcl:"jobspec"`
		Variables             map[string]string `hcl:"variables,optional"`
		RestrictToZones       []string          `hcl:"restrict_to_zones,optional"`
		AllowedGroups         []string          `hcl:"allowed_groups,optional"`
		Labels                map[string]string `hcl:"labels,optional"`
		MaxSessions           int               `hcl:"max_sessions,optional"`
		MaxSessionsPerUser    int               `hcl:"max_sessions_per_user,optional"`
		RunConfig             cty.Value         `hcl:"run_config,optional"`
		VolumeMappings        []volumeBlock     `hcl:"volume_mapping,block"`
		PersistentProfilePath string            `hcl:"persistent_profile_path,optional"`
		WebFilterPolicy       string            `hcl:"web_filter_policy,optional"`
		SessionTimeLimit      string            `hcl:"session_time_limit,optional"`
		UnhealthyExpiration   string            `hcl:"unhealthy_expiration,optional"`
		IdleExpiration        string            `hcl:"idle_expiration,optional"`
		UnvisitedExpiration   string            `hcl:"unvisited_expiration,optional"`
		WaitForRoom           *string           `hcl:"wait_for_room,optional"`
		Patience              *patienceBlock    `hcl:"patience,block"`
		ConnectURL            string            `hcl:"connect_url,optional"`
		ExecConfig            *execConfigBlock  `hcl:"exec_config,block"`
	}
	patienceBlock struct {
		Start     string `hcl:"start,optional"`
		Placement string `hcl:"placement,optional"`
		Unhealthy string `hcl:"unhealthy,optional"`
	}
	volumeBlock struct {
		Source   string `hcl:"source"`
		Target   string `hcl:"target"`
		ReadOnly bool   `hcl:"read_only,optional"`
	}
	execConfigBlock struct {
		FirstLaunch *hookBlock `hcl:"first_launch,block"`
		Assign      *hookBlock `hcl:"assign,block"`
		Go          *hookBlock `hcl:"go,block"`
		PreEnd      *hookBlock `hcl:"pre_end,block"`
		PreStop     *hookBlock `hcl:"pre_stop,block"`
	}
	hookBlock struct {
		Task        string            `hcl:"task,optional"`
		Cmd         []string          `hcl:"cmd"`
		Environment map[string]string `hcl:"environment,optional"`
		Workdir     string            `hcl:"workdir,optional"`
		User        string            `hcl:"user,optional"`
		Timeout     string            `hcl:"timeout,optional"`
		Before      string            `hcl:"before,optional"`
	}
	groupBlock struct {
		Priority                  int             `hcl:"priority"`
		Default                   bool            `hcl:"default,optional"`
		Permissions               map[string]bool `hcl:"permissions,optional"`
		MaxSessionsPerUser        *int            `hcl:"max_sessions_per_user,optional"`
		KeepaliveExpiration       string          `hcl:"keepalive_expiration,optional"`
		SessionTimeLimit          string          `hcl:"session_time_limit,optional"`
		MaxExtension              string          `hcl:"max_extension,optional"`
		UnhealthyExpiration       string          `hcl:"unhealthy_expiration,optional"`
		IdleExpiration            string          `hcl:"idle_expiration,optional"`
		UnvisitedExpiration       string          `hcl:"unvisited_expiration,optional"`
		WaitForRoom               *string         `hcl:"wait_for_room,optional"`
		AllowedEnvironment        []string        `hcl:"allowed_environment,optional"`
		ExposeUserEnvironmentVars *bool           `hcl:"expose_user_environment_vars,optional"`
		InjectSSHKeys             *bool           `hcl:"inject_ssh_keys,optional"`
		RunConfig                 cty.Value       `hcl:"run_config,optional"`
		VolumeMapping             []volumeBlock   `hcl:"volume_mapping,block"`
		WebFilterPolicy           string          `hcl:"web_filter_policy,optional"`
	}
	stagingBlock struct {
		Zone            string            `hcl:"zone"`
		Image           string            `hcl:"image"`
		DesiredSessions *int              `hcl:"desired_sessions,optional"`
		MaxSessions     int               `hcl:"max_sessions,optional"`
		Labels          map[string]string `hcl:"labels,optional"`
		Expiration      string            `hcl:"expiration,optional"`
		Permissions     map[string]bool   `hcl:"permissions,optional"`
		MaxUnavailable  string            `hcl:"max_unavailable,optional"`
		Priority        int               `hcl:"priority,optional"`
		Spread          hcl.Expression    `hcl:"spread,optional"`
		DistinctHosts   bool              `hcl:"distinct_hosts,optional"`
		Update          string            `hcl:"update,optional"`
		KeepFailed      int               `hcl:"keep_failed,optional"`
		Schedule        []scheduleBlock   `hcl:"schedule,block"`
		Sizing          *sizingBlock      `hcl:"sizing,block"`
	}
	sizingBlock struct {
		Mode       string  `hcl:"mode"`
		ServedWarm float64 `hcl:"served_warm,optional"`
		Min        int     `hcl:"min,optional"`
		Max        int     `hcl:"max"`
		Weight     float64 `hcl:"weight,optional"`
		TimeZone   string  `hcl:"time_zone,optional"`
	}
	scheduleBlock struct {
		Cron            string `hcl:"cron"`
		TimeZone        string `hcl:"time_zone,optional"`
		Duration        string `hcl:"duration"`
		DesiredSessions int    `hcl:"desired_sessions"`
	}
)

// resource decodes a block into the set, and returns what validation finds in its values.
func (f *files) resource(block *hcl.Block, name string, eval *hcl.EvalContext) error {
	switch block.Type {
	case blockZone:
		var b zoneBlock
		f.decode(block, eval, &b)
		z := staging.Zone{
			Name: name, Region: b.Region, Datacenters: b.Datacenters, NodePool: b.NodePool, Namespace: b.Namespace,
			MaxSessions: b.MaxSessions, SearchAlternateZones: b.SearchAlternateZones, AlternateZones: b.AlternateZones, Peer: b.Peer, PeerZone: b.PeerZone,
			AllowOriginDomain: b.AllowOriginDomain, UpstreamAuthAddress: b.UpstreamAuthAddress, AllowedGroups: b.AllowedGroups,
		}.WithDefaults()
		f.set.Zones = append(f.set.Zones, z)
		return z.Validate()
	case blockImage:
		var b imageBlock
		f.decode(block, eval, &b)
		i := f.image(block, name, b)
		f.set.Images = append(f.set.Images, i)
		return i.Validate()
	case blockGroup:
		var b groupBlock
		f.decode(block, eval, &b)
		g := staging.Group{
			Name: name, Priority: b.Priority, Default: b.Default, Permissions: permissions(b.Permissions), MaxSessionsPerUser: b.MaxSessionsPerUser,
			KeepaliveExpiration:       f.duration(block, "keepalive_expiration", b.KeepaliveExpiration),
			SessionTimeLimit:          f.duration(block, "session_time_limit", b.SessionTimeLimit),
			MaxExtension:              f.duration(block, "max_extension", b.MaxExtension),
			UnhealthyExpiration:       f.duration(block, "unhealthy_expiration", b.UnhealthyExpiration),
			IdleExpiration:            f.duration(block, "idle_expiration", b.IdleExpiration),
			UnvisitedExpiration:       f.duration(block, "unvisited_expiration", b.UnvisitedExpiration),
			WaitForRoom:               f.durationIfSet(block, "wait_for_room", b.WaitForRoom),
			AllowedEnvironment:        b.AllowedEnvironment,
			ExposeUserEnvironmentVars: b.ExposeUserEnvironmentVars, InjectSSHKeys: b.InjectSSHKeys,
			RunConfig: f.object(block, "run_config", b.RunConfig), VolumeMapping: volumes(b.VolumeMapping), WebFilterPolicy: b.WebFilterPolicy,
		}
		f.set.Groups = append(f.set.Groups, g)
		return g.Validate()
	case blockWebhook:
		var b webhookBlock
		f.decode(block, eval, &b)
		w, err := f.webhook(block, name, b)
		f.set.Webhooks = append(f.set.Webhooks, w)
		return err
	default:
		var b stagingBlock
		f.decode(block, eval, &b)
		c := staging.Config{
			Name: name, Zone: b.Zone, Image: b.Image, MaxSessions: b.MaxSessions, Labels: b.Labels,
			Expiration: f.duration(block, "expiration", b.Expiration), Permissions: permissions(b.Permissions), MaxUnavailable: b.MaxUnavailable, Priority: b.Priority,
			Spread: f.nodeProperty(b.Spread, eval), DistinctHosts: b.DistinctHosts,
			Update: staging.UpdateMode(b.Update), KeepFailed: b.KeepFailed,
		}
		for i, s := range b.Schedule {
			c.Schedule = append(c.Schedule, staging.Schedule{
				Cron: s.Cron, TimeZone: s.TimeZone, DesiredSessions: s.DesiredSessions,
				Duration: f.duration(block, fmt.Sprintf("schedule[%d].duration", i), s.Duration),
			})
		}
		if x := b.Sizing; x != nil {
			c.Sizing = &staging.Sizing{Mode: staging.SizingMode(x.Mode), ServedWarm: x.ServedWarm, Min: x.Min, Max: x.Max, Weight: x.Weight, TimeZone: x.TimeZone}
		}
		switch {
		case b.DesiredSessions != nil:
			c.DesiredSessions = *b.DesiredSessions
		case !c.FollowsDemand():
			f.about(block, block.DefRange, "desired_sessions", "must be given: how many ready sessions to keep, unless the pool follows its demand (sizing with mode = \"demand\")")
		}
		f.set.Configs = append(f.set.Configs, c)
		// Only the broker knows its limit of sessions, and holds the numbers to it.
		return c.Validate(staging.Limits{})
	}
}

func (f *files) image(block *hcl.Block, name string, b imageBlock) staging.Image {
	i := staging.Image{
		Name: name, Enabled: b.Enabled, Jobspec: b.Jobspec, Variables: b.Variables, RestrictToZones: b.RestrictToZones, AllowedGroups: b.AllowedGroups,
		Labels: b.Labels, MaxSessions: b.MaxSessions, MaxSessionsPerUser: b.MaxSessionsPerUser,
		RunConfig: f.object(block, "run_config", b.RunConfig), VolumeMappings: volumes(b.VolumeMappings),
		PersistentProfilePath: b.PersistentProfilePath, WebFilterPolicy: b.WebFilterPolicy,
		SessionTimeLimit: f.duration(block, "session_time_limit", b.SessionTimeLimit), UnhealthyExpiration: f.duration(block, "unhealthy_expiration", b.UnhealthyExpiration),
		IdleExpiration: f.duration(block, "idle_expiration", b.IdleExpiration), UnvisitedExpiration: f.duration(block, "unvisited_expiration", b.UnvisitedExpiration),
		WaitForRoom: f.durationIfSet(block, "wait_for_room", b.WaitForRoom), ConnectURL: b.ConnectURL,
	}
	if x := b.Patience; x != nil {
		i.Patience = staging.Patience{
			Start:     f.duration(block, "patience.start", x.Start),
			Placement: f.duration(block, "patience.placement", x.Placement),
			Unhealthy: f.duration(block, "patience.unhealthy", x.Unhealthy),
		}
	}
	if x := b.ExecConfig; x != nil {
		i.ExecConfig = staging.ExecConfig{
			FirstLaunch: f.hook(block, staging.HookFirstLaunch, x.FirstLaunch),
			Assign:      f.hook(block, staging.HookAssign, x.Assign),
			Go:          f.hook(block, staging.HookGo, x.Go),
			PreEnd:      f.hook(block, staging.HookPreEnd, x.PreEnd),
			PreStop:     f.hook(block, staging.HookPreStop, x.PreStop),
		}
	}
	return i
}

func (f *files) hook(block *hcl.Block, name staging.HookName, h *hookBlock) *staging.Hook {
	if h == nil {
		return nil
	}
	return &staging.Hook{
		Task: h.Task, Cmd: h.Cmd, Environment: h.Environment, Workdir: h.Workdir, User: h.User,
		Timeout: f.duration(block, fmt.Sprintf("exec_config.%s.timeout", name), h.Timeout),
		Before:  f.duration(block, fmt.Sprintf("exec_config.%s.before", name), h.Before),
	}
}

// object returns an HCL object as the JSON that the API takes.
func (f *files) object(block *hcl.Block, field string, v cty.Value) map[string]any {
	if v == cty.NilVal || !v.IsWhollyKnown() || v.IsNull() {
		return nil
	}
	if t := v.Type(); !t.IsObjectType() && !t.IsMapType() {
		f.about(block, rangeOf(block, field), field, "must be an object, such as { hostname = \"desk\" }")
		return nil
	}
	text, err := ctyjson.Marshal(v, v.Type())
	var object map[string]any
	if err == nil {
		err = json.Unmarshal(text, &object)
	}
	if err != nil {
		f.about(block, rangeOf(block, field), field, err.Error())
	}
	return object
}

func permissions(m map[string]bool) staging.Permissions {
	if len(m) == 0 {
		return nil
	}
	p := staging.Permissions{}
	for k, v := range m {
		p[staging.Permission(k)] = v
	}
	return p
}

func volumes(blocks []volumeBlock) []staging.VolumeMapping {
	var all []staging.VolumeMapping
	for _, b := range blocks {
		all = append(all, staging.VolumeMapping{Source: b.Source, Target: b.Target, ReadOnly: b.ReadOnly})
	}
	return all
}
