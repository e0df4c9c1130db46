// Package registry keeps greenroom's resources and the fate records in Consul's
// KV store.
//
// It promises that a write it acknowledged is in Consul's Raft log, that
// creating a fate record succeeds for at most one caller ever, and that a write
// whose outcome is not known is reported as an error and never as "not done".
// Reads of single keys are consistent (they ask the leader); the watched copy
// of the resources may trail by a moment.
//
//	PREFIX resources/zones/NAME     staging.Zone, JSON
//	PREFIX resources/images/NAME    staging.Image
//	PREFIX resources/staging/NAME   staging.Config
//	PREFIX fates/SESSION            staging.Fate; listed at start and resync, never watched
//
// Resources and fates have prefixes of their own, so that no claim wakes a
// watcher of the resources.
package registry
