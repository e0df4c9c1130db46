// Package redisstore keeps in Redis what must be fast: each pool's ready queue,
// claims, the index of sessions, idempotency keys, pool conditions and recent
// events.
//
// Every transition of a session is one Lua script in scripts/, so it happens
// whole or not at all, and one Go method that runs it. The scripts hold to the
// table of moves in package staging; a test compares the two. A script that
// changes a claimed session is given the claim's id and does nothing for a
// claim that is not the session's (the fencing value). Time is Redis's own.
//
// Nothing here is the last word: the fate record in Consul decides, and all
// that is kept here can be rebuilt from Nomad, Consul's health and those
// records. A lost Redis costs speed for a moment, never a session. A Redis that was put
// back to an earlier state is not believed: claims are made only in zones for which a
// scaler has vouched in the last half minute, and it does so only where its last mark
// is still there.
//
// The keys of one store share a prefix, and the scripts build session keys from
// the ids that they pop, so a store needs one Redis primary, not a Redis Cluster.
//
//	PREFIX session:ID       hash    state, facts and times of one session
//	PREFIX claim:ID         string  the claim that took it, set once (NX)
//	PREFIX ready:POOL       zset    claimable sessions, oldest first
//	PREFIX pool:POOL        set     the pool's unassigned sessions
//	PREFIX sessions         zset    every session that has not ended, by creation
//	PREFIX key:HASH         hash    an Idempotency-Key: its claim, launch and session, or all of several
//	PREFIX user:HASH        zset    the sessions of one user, by when they became so
//	PREFIX conditions:POOL  string  the pool's conditions, JSON
//	PREFIX count:POOL:MINUTE        hash  what went on in a pool in one minute, for a while
//	PREFIX count:ZONE/IMAGE:MINUTE  hash  the same of sessions made on demand
//	PREFIX vouched:ZONE     hash    the mark that the zone's scaler left last, and when
//	PREFIX armed:ID         string  the broker that keeps a shell in a ready session, leased
//	PREFIX epoch            string  changes when the data was wiped
//	PREFIX events           stream  what happened, bounded
package redisstore
