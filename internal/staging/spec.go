package staging

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// Spec is everything that a session's job is made from.
type Spec struct {
	Session Session
	Image   Image
	Zone    Zone
	// Environment is set in the main tasks beside the jobspec's. Nomad does not interpolate
	// its values.
	Environment map[string]string
	// RunConfig is merged into the main task's driver config, key by key, over the
	// jobspec's.
	RunConfig map[string]any
	// Volumes are directories of the node, without tokens, for the main task.
	Volumes []VolumeMapping
	// SSHKeys are lines for a file of the main task, whose variable
	// GREENROOM_SSH_AUTHORIZED_KEYS has the file's path.
	SSHKeys []string
	// Avoid are the ids of nodes on which Nomad should place the job only if no other has
	// room. They do not change the session's revision.
	Avoid []string
	// Placement narrows where Nomad may place the job. It does not change the session's revision.
	Placement Placement
}

// Placement narrows where Nomad may place a job beside its jobspec; the zero value does not.
type Placement struct {
	// Property is one of nodes, in Nomad's spelling, for Only and Except.
	Property string
	// Only is the value that the node must have; "" for any.
	Only string
	// Except are values that the node must not have, while it must have the property.
	Except []string
	// ExceptNodes are the ids of nodes on which it must not run.
	ExceptNodes []string
}

// Narrowed reports whether the job may run on fewer nodes than the pool allows, for the sake of
// the pool's spread: refused, it is to be made again without that.
func (p Placement) Narrowed() bool { return p.Only != "" || len(p.Except) > 0 }

// StagedSpec returns the spec of a staged session. It has nothing of a user.
func StagedSpec(s Session, i Image, z Zone, c Config) Spec {
	spec := Spec{Session: s, Image: i, Zone: z, RunConfig: i.RunConfig, Environment: map[string]string{}}
	c.Permissions.environment(spec.Environment)
	z.access(spec.Environment, "")
	webFilter(spec.Environment, i.WebFilterPolicy)
	for _, v := range i.VolumeMappings {
		if !v.OfUser() {
			spec.Volumes = append(spec.Volumes, v)
		}
	}
	return spec
}

// OnDemandSpec returns the spec of a session that is created for one launch, with all
// settings of its user and groups. requestHost is the host that the launch was sent to. It
// returns an *InvalidError if the user's name cannot be part of a volume mapping.
func OnDemandSpec(s Session, l Launch, i Image, z Zone, st Settings, requestHost string) (Spec, error) {
	spec := Spec{Session: s, Image: i, Zone: z, RunConfig: maps.Clone(i.RunConfig), Environment: map[string]string{}}
	if st.ExposeUserEnvironmentVars {
		maps.Copy(spec.Environment, l.UserEnvironment)
	}
	maps.Copy(spec.Environment, l.Variables(s.ID))
	st.Permissions.environment(spec.Environment)
	z.access(spec.Environment, requestHost)
	webFilter(spec.Environment, or(st.WebFilterPolicy, i.WebFilterPolicy))
	if len(st.RunConfig) > 0 {
		if spec.RunConfig == nil {
			spec.RunConfig = map[string]any{}
		}
		maps.Copy(spec.RunConfig, st.RunConfig)
	}
	if st.InjectSSHKeys {
		spec.SSHKeys = l.SSHKeys
	}
	// A group's mapping overrides the image's at the same target.
	all := slices.Clone(st.VolumeMapping)
	for _, v := range i.VolumeMappings {
		if !slices.ContainsFunc(all, func(o VolumeMapping) bool { return path.Clean(o.Target) == path.Clean(v.Target) }) {
			all = append(all, v)
		}
	}
	if i.PersistentProfilePath != "" {
		all = append(all, VolumeMapping{Source: i.PersistentProfilePath, Target: ProfileTarget})
	}
	for _, v := range all {
		v, err := v.of(l.User)
		if err != nil {
			return spec, err
		}
		spec.Volumes = append(spec.Volumes, v)
	}
	return spec, nil
}

func webFilter(env map[string]string, policy string) {
	if policy != "" {
		env["GREENROOM_WEB_FILTER_POLICY"] = policy
	}
}

func or(a, b string) string {
	if strings.TrimSpace(a) != "" {
		return a
	}
	return b
}
