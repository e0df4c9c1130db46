// Package admin administers what launches lean on: zones, images, groups, staging configs
// and tokens.
//
// It promises that nothing is stored that breaks a rule: a value is valid by itself, what
// it names exists, Nomad accepts an image's jobspec, and nothing that a staging config
// names is deleted. Check holds a whole set of resources to the same rules and stores
// nothing. Every change is recorded for auditors, without secrets, also when its
// outcome is unknown. Reads come from Consul and not from the copy in memory, so that a
// caller reads its own writes.
//
// Resources serves all four kinds of resources; what differs between them is in kinds.go.
//
// Errors are a *refusal.Error or a *staging.InvalidError.
package admin
