// Package registry keeps greenroom's resources, the fate records and the tokens in
// Consul's KV store.
//
// It promises that a write it acknowledged is in Consul's Raft log, that
// creating a fate record succeeds for at most one caller ever, and that a write
// whose outcome is not known is reported as an error and never as "not done".
// Reads of single keys are consistent (they ask the leader); the watched copy
// of the resources, and that of the tokens, may trail by a moment.
//
//	PREFIX resources/zones/NAME     staging.Zone, JSON
//	PREFIX resources/images/NAME    staging.Image
//	PREFIX resources/groups/NAME    staging.Group
//	PREFIX resources/staging/NAME   staging.Config
//	PREFIX tokens/ACCESSOR          access.Token, with the hash of its secret and never the secret
//	PREFIX bootstrap                there once there is an administrator's, or any, token
//	PREFIX secrets/NAME             random bytes that all brokers share
//	PREFIX keys/HASH                an Idempotency-Key with its claim and session, written with the fate
//	PREFIX locks/ZONE               who keeps the zone's pools, held by a Consul session
//	PREFIX fates/SESSION            staging.Fate; listed at start and resync, never watched
//
// Resources and fates have prefixes of their own, so that no claim wakes a
// watcher of the resources.
package registry
