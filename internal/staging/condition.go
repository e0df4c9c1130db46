package staging

import "time"

// ConditionType names why a pool is not as its config wants it. An operator
// reads these in lists and alerts, so they are stable.
type ConditionType string

// The conditions.
const (
	// ZoneMissing, ImageMissing: the config names a resource that is not there.
	ZoneMissing  ConditionType = "ZoneMissing"
	ImageMissing ConditionType = "ImageMissing"
	// ImageDisabled: the image is switched off.
	ImageDisabled ConditionType = "ImageDisabled"
	// ImageRestricted: the image may not run in the config's zone.
	ImageRestricted ConditionType = "ImageRestricted"
	// ImageNotStageable: something of the image must be there when a user's container is created.
	ImageNotStageable ConditionType = "ImageNotStageable"
	// ZoneNotStageable: the zone's access settings need a request, which a staged session has none of.
	ZoneNotStageable ConditionType = "ZoneNotStageable"
	// HookFailing: the image's first_launch or assign hook fails again and again.
	HookFailing ConditionType = "HookFailing"
	// Unhealthy: sessions run and their checks do not pass.
	Unhealthy ConditionType = "Unhealthy"
	// ImageInvalid: Nomad does not accept the image's jobspec.
	ImageInvalid ConditionType = "ImageInvalid"
	// CapacityExhausted: nodes exist but none has room.
	CapacityExhausted ConditionType = "CapacityExhausted"
	// NoNodesInZone: no node is in the zone's datacenters and pool, or none fits the job's constraints.
	NoNodesInZone ConditionType = "NoNodesInZone"
	// ImageUnavailable: the driver cannot start the image, for example because it is not there.
	ImageUnavailable ConditionType = "ImageUnavailable"
	// CrashLooping: sessions start and exit.
	CrashLooping ConditionType = "CrashLooping"
	// RedisUnavailable: Redis refuses to be written to, or does not answer.
	RedisUnavailable ConditionType = "RedisUnavailable"
	// NomadUnavailable: Nomad refuses or does not answer.
	NomadUnavailable ConditionType = "NomadUnavailable"
)

// Condition is one reason why current or ready differs from desired.
type Condition struct {
	Type    ConditionType `json:"type"`
	Message string        `json:"message"`
	Since   time.Time     `json:"since"`
}
