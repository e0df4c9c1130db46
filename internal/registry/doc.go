// Package registry keeps greenroom's resources, the fate records, the tokens and the locked
// users in Consul's KV store.
//
// It promises that an acknowledged write is in Consul's Raft log; that at most one caller
// ever succeeds in creating a session's fate record; and that a write with an unknown
// outcome is reported as an error and never as "not done". No session is assigned to a user
// once an acknowledged lock of the user exists. Reads of single keys are consistent: the
// leader confirms them. The watched caches of the resources, of the tokens, of the keys and of
// the locked users may be stale by a moment.
//
//	PREFIX resources/zones/NAME     staging.Zone, JSON
//	PREFIX resources/images/NAME    staging.Image
//	PREFIX resources/groups/NAME    staging.Group
//	PREFIX resources/staging/NAME   staging.Config
//	PREFIX installation             staging.Installation: whose the prefix is, created by the first agent
//	PREFIX tokens/ACCESSOR          access.Token, with the hash of its secret and never the secret
//	PREFIX locked-users/HASH        access.UserLock, by the hash of the user's id
//	PREFIX bootstrap                exists once the first token was created
//	PREFIX secrets/NAME             random bytes that all brokers share: the newest key of the name
//	PREFIX secrets/rotated/NAME     rotation: the keys that were retired and are still accepted
//	PREFIX gateway-secrets/...      the same for the keys that brokers share with gateways
//	PREFIX keys/HASH                an Idempotency-Key with its claim and session, written with the fate
//	PREFIX locks/ZONE               the scaler that acts in the zone, held through a Consul session
//	PREFIX fates/SESSION            staging.Fate; never watched; listed by the scaler at start and resync, and by
//	                                brokers while Redis is away or not trusted
//
// Resources and fates have different prefixes, so that a claim does not wake the watchers
// of the resources.
package registry
