package staging

import "time"

// ConditionType names a reason why a pool differs from its config. Operators use the names
// in lists and alerts, so they are stable.
type ConditionType string

// The conditions.
const (
	// Paused: an administrator paused the pool, its zone or all pools.
	Paused ConditionType = "Paused"
	// ZoneMissing, ImageMissing: the config names a resource that does not exist.
	ZoneMissing  ConditionType = "ZoneMissing"
	ImageMissing ConditionType = "ImageMissing"
	// ConfigUnreadable: the config, its zone or its image is stored and cannot be read.
	ConfigUnreadable ConditionType = "ConfigUnreadable"
	// ImageDisabled: the image is disabled.
	ImageDisabled ConditionType = "ImageDisabled"
	// ImageRestricted: the image may not run in the config's zone.
	ImageRestricted ConditionType = "ImageRestricted"
	// ImageNotStageable: the image has a setting that needs the user when the container is created.
	ImageNotStageable ConditionType = "ImageNotStageable"
	// ZoneNotStageable: the zone's access settings need a request, which a staged session does not have.
	ZoneNotStageable ConditionType = "ZoneNotStageable"
	// HookFailing: the image's first_launch or assign hook fails repeatedly.
	HookFailing ConditionType = "HookFailing"
	// Unhealthy: sessions run, but their checks do not pass.
	Unhealthy ConditionType = "Unhealthy"
	// HealthCheckFailing: a session runs longer than sessions of its pool usually take to be
	// ready, and a check of its own fails.
	HealthCheckFailing ConditionType = "HealthCheckFailing"
	// RolloutStuck: the sessions of a new revision do not become ready, so those of the older
	// one stay. Another condition says why.
	RolloutStuck ConditionType = "RolloutStuck"
	// ImageInvalid: Nomad does not accept the image's jobspec.
	ImageInvalid ConditionType = "ImageInvalid"
	// SessionLimitReached: a max_sessions of the config, its image or its zone allows no more.
	SessionLimitReached ConditionType = "SessionLimitReached"
	// CapacityExhausted: there are nodes, but none has room.
	CapacityExhausted ConditionType = "CapacityExhausted"
	// NoNodesInZone: no node is in the zone's datacenters and pool, or none fits the job's constraints.
	NoNodesInZone ConditionType = "NoNodesInZone"
	// ImageUnavailable: the driver cannot start the image, for example because it does not exist.
	ImageUnavailable ConditionType = "ImageUnavailable"
	// CrashLooping: sessions start and exit.
	CrashLooping ConditionType = "CrashLooping"
	// NomadDenied: Nomad does not let the scaler see some sessions of the pool's zone, so it
	// leaves them as they are.
	NomadDenied ConditionType = "NomadDenied"
	// NodeFailing: the image fails on a node while it runs on others.
	NodeFailing ConditionType = "NodeFailing"
	// SessionQuarantined: sessions may be users', and no readable record says whether they are.
	SessionQuarantined ConditionType = "SessionQuarantined"
	// ConsulUnavailable: Consul refuses writes or does not answer.
	ConsulUnavailable ConditionType = "ConsulUnavailable"
	// RedisUnavailable: Redis refuses writes or does not answer.
	RedisUnavailable ConditionType = "RedisUnavailable"
	// NomadUnavailable: Nomad refuses calls or does not answer.
	NomadUnavailable ConditionType = "NomadUnavailable"
)

// Condition is one reason why current or ready differs from desired.
type Condition struct {
	Type    ConditionType `json:"type"`
	Message string        `json:"message"`
	Since   time.Time     `json:"since"`
}
