package httpapi

import "github.com/greenroom/greenroom/internal/staging"

// Config returns the staging config of a pool, without the pool's status.
func (p StagingPool) Config() staging.Config {
	return staging.Config{
		Name: p.Name, Zone: p.Zone, Image: p.Image, DesiredSessions: p.DesiredSessions, MaxSessions: p.MaxSessions,
		Labels: p.Labels, Expiration: p.Expiration, Permissions: p.Permissions, MaxUnavailable: p.MaxUnavailable, Priority: p.Priority,
		Spread: p.Spread, DistinctHosts: p.DistinctHosts, Update: p.Update, KeepFailed: p.KeepFailed,
		Schedule: p.Schedule, Sizing: p.Sizing,
	}
}

// ofConfig is the inverse of Config.
func ofConfig(c staging.Config) StagingPool {
	return StagingPool{
		Name: c.Name, Zone: c.Zone, Image: c.Image, DesiredSessions: c.DesiredSessions, MaxSessions: c.MaxSessions,
		Labels: c.Labels, Expiration: c.Expiration, Permissions: c.Permissions, MaxUnavailable: c.MaxUnavailable, Priority: c.Priority,
		Spread: c.Spread, DistinctHosts: c.DistinctHosts, Update: c.Update, KeepFailed: c.KeepFailed,
		Schedule: c.Schedule, Sizing: c.Sizing,
	}
}
