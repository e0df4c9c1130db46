// Package redisstore keeps in Redis what must be fast: each pool's ready queue, claims,
// the index of sessions, idempotency keys, pool conditions and recent events.
//
// Every transition of a session is one Lua script in scripts/, so it is atomic, and one Go
// method that runs the script. The scripts follow the table of moves in package staging; a
// test compares the two. Launches that come at the same moment share calls: claim_one.lua and assign.lua
// serve many at once, and decide each for itself.
//
// The claim's id is the fencing value. The scripts with which a launch changes the session
// that it claimed (assign, unclaim, and finish with a claim) change nothing if another claim
// holds the session. Others do not compare: restore replaces the claim by that of the fate
// record, and ended, expire_keepalive and finish without a claim end the session of any
// claim.
//
// Scripts take the present time from Redis. Other times come from clients: when a session
// was created from the scaler or broker that made it, and when it was assigned from its
// broker, which counts from the time of the claim by Redis's clock, or from a broker's own
// clock if the session was restored from its fate record.
//
// Redis does not decide anything finally: the fate record in Consul does. Everything here
// can be rebuilt from Nomad, Consul's health and the fate records, so losing Redis costs
// speed for a moment and never a session. Claims do not use a Redis that may have been
// rolled back: they are made only in zones whose scaler has renewed its trust within
// TrustTTL, and the scaler renews it only while its last marker is still there.
//
// All keys of a store share a prefix, and all are on one Redis primary, because the scripts
// build session keys from the ids that they pop, and nearly all write the stream of events. In a
// Redis Cluster the prefix holds a hash tag, which puts all keys into one slot (ClusterPrefix).
//
//	PREFIX session:ID       hash    state, facts and times of one session
//	PREFIX claim:ID         string  the claim that holds the session; staged claims set it with NX, begin and restore overwrite it
//	PREFIX ready:POOL       zset    claimable sessions, oldest first
//	PREFIX pool:POOL        set     the pool's unassigned sessions
//	PREFIX sessions         zset    all sessions that have not ended, by creation
//	PREFIX ended            zset    sessions that ended lately, by when they ended; bounded, and lost with Redis
//	PREFIX key:HASH         hash    an Idempotency-Key: its claim, launch and session or sessions
//	PREFIX user:HASH        zset    the sessions of one user, by when they were claimed, or created if on demand or restored
//	PREFIX conditions:POOL  string  the pool's conditions, JSON
//	PREFIX usual            hash    how long each pool's sessions usually take to be ready, in milliseconds
//	PREFIX remarks          hash    by pool, what is no condition yet
//	PREFIX rollout:POOL     string  how many of the pool's sessions are of an older revision, JSON
//	PREFIX count:POOL:MINUTE        hash  a pool's activity in one minute, kept for a while
//	PREFIX count:ZONE/IMAGE:MINUTE  hash  the same for on-demand sessions
//	PREFIX sizes                    hash  what the demand of pools with sizing asks for, in JSON
//	PREFIX history:POOL:HOUR        hash  a pool's history in one hour, kept for a while
//	PREFIX vouched:ZONE     hash    the scaler's last marker in the zone, when it renewed trust, and the restore of Consul it knew of
//	PREFIX armed:ID         string  the broker that keeps a shell in a ready session, leased
//	PREFIX receiving        hash    since when brokers receive keepalives without a gap
//	PREFIX receiving:gateways       hash  the same of gateways, where there are some
//	PREFIX code:ID          string  a gateway's link that was opened, kept while its code would count
//	PREFIX epoch            string  changes when the data was wiped
//	PREFIX events           stream  recent events, bounded
//	PREFIX events:cursors   hash    up to where each webhook has taken the events, by its name
//	PREFIX webhook:NAME:pending, :dead  streams  messages to deliver, and those that were given up
//	PREFIX webhook:NAME:tries, :state   hashes   failed attempts by message, and what the sender last knew
package redisstore
