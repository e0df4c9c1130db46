package staging

// Advice says what to do about a condition; "" for a type that this version does not know.
func (t ConditionType) Advice() string { return advice[t] }

var advice = map[ConditionType]string{
	Paused:              "resume it with the command that the message names; greenroom pause --list says what else is paused",
	ZoneMissing:         "create the zone, or change the staging config's zone",
	ImageMissing:        "create the image, or change the staging config's image",
	ConfigUnreadable:    "store the resource again, or delete its key in Consul",
	ImageDisabled:       "set the image's enabled to true, or delete the staging config",
	ImageRestricted:     "add the zone to the image's restrict_to_zones, or delete the staging config",
	ImageNotStageable:   "leave out the setting of the image that the message names, or delete the staging config: launches get sessions made on demand",
	ZoneNotStageable:    "leave out the setting of the zone that the message names, or delete the staging config: launches get sessions made on demand",
	HookFailing:         "mend the hook in the image's exec_config, or the program that it runs; the end of what it wrote is in the message",
	Unhealthy:           "look at the check that the message names, and raise the image's patience if its sessions only need longer",
	HealthCheckFailing:  "look at the check that the message names: its port and path in the jobspec, and what the session answers there; greenroom logs SESSION has what it wrote",
	RolloutStuck:        "mend what the other condition says, or store the image as it was before; where sessions only lack a node, raise max_unavailable",
	ImageInvalid:        "change the image's jobspec or variables as Nomad's message says",
	SessionLimitReached: "raise the max_sessions that the message names, or end sessions that count for it",
	CapacityExhausted:   "add nodes to the zone, lower the resources in the jobspec, or lower desired_sessions",
	NoNodesInZone:       "check the zone's datacenters and node_pool against nomad node status, and the constraints in the jobspec; with distinct_hosts, add nodes or lower desired_sessions",
	ImageUnavailable:    "check that the image, artifact or program that the message names exists, and that the nodes may fetch it",
	CrashLooping:        "mend the program, then try again at once with greenroom staging retry; keep_failed in the staging config leaves failed sessions in Nomad to look at",
	NomadDenied:         "let the scaler's Nomad token list and read the jobs of the zone's namespace",
	NodeFailing:         "repair or drain the node that the message names; it is tried again by itself, or at once with greenroom staging retry",
	SessionQuarantined:  "find out whose the sessions are, and end with greenroom sessions end what is nobody's",
	ConsulUnavailable:   "check that Consul has a leader, and the scaler's token",
	RedisUnavailable:    "check that Redis answers and takes writes",
	NomadUnavailable:    "check that Nomad has a leader, and the scaler's token",
}
