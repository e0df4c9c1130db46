-- Takes N ready sessions for one launch, or none: ready -> claimed, all in this one step.
-- The pools are searched in the order given, each from its oldest session on; preferred
-- sessions near the head of a queue come first. Sessions on nodes that are being drained
-- are taken only where all pools together have too few others. Where no fate record follows the claim,
-- the sessions are assigned in the same step. The launch's Idempotency-Key, where it has
-- one, is reserved, and the user's sessions are counted against the launch's limit.
--
-- A launch of one from one pool is claim_one.lua's, which serves those that come together in one
-- call. This script would serve it as well, and costs Redis more for one session.
--
-- KEYS  1 idempotency key (unused when the fingerprint is "")  2 the user's sessions  3 events
--       then for each pool: ready queue, pool set
-- ARGV  1 prefix  2 claim  3 user (JSON)  4 launch fingerprint, "" without a key  5 lease of the key (ms)
--       6 image  7 terms (JSON)  8 keepalive (ms), 0 for none  9 most sessions of the user, 0 for no limit
--       10 permissions  11 life of the key (ms) where the claim is final, else ""
--       12 how far down a queue preferred sessions are taken  13 TTL of a scaler's trust (ms)
--       14 life of a counter (ms)  15 how many sessions
--       16 the launch's request id, kept with the events, "" for none  17 the user's id
--       18 most sessions of the image of the user, 0 for no limit
--       19 restore of Consul that the scaler who trusts Redis must have known of
--       then for each pool: pool, zone, prefix of the pool's counters, revision that a session must
--       have, "" for any; then the preferred sessions
--
-- Returns one of
--   {"claimed", now, id, facts, ready_at, ...}   three for each session
--   {"empty", ready, ...}                        too few: how many each pool has, "untrusted" where
--                                                Redis is not trusted for its zone
--   {"untrusted", ...}                           the same where it is trusted for none of them
--   {"repeat", session, done}, {"reused"}, {"limit", id, ...} or {"image_limit", id, ...} as heldKey and overLimit return them
-- The sessions that were asked for count as missed by the first of the pools.
-- Where it returns no sessions, no session and no key has changed; sessions that have ended
-- may have been removed from the user's sessions (overLimit).
local key, user_sessions, events = KEYS[1], KEYS[2], KEYS[3]
local prefix, claim, user, fingerprint, key_lease = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local image, terms, keepalive_ms, most, permits, final_key_life = ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local prefer_depth, trust_ttl, counter_life = tonumber(ARGV[12]), tonumber(ARGV[13]), ARGV[14]
local wanted, request_id, user_id, most_of_image = tonumber(ARGV[15]), ARGV[16], ARGV[17], ARGV[18]
local restored = ARGV[19]
local first_pool_arg = 20

local keyed, final = fingerprint ~= '', final_key_life ~= ''
local now = now_ms()

local pools, any_trusted, any_behind = {}, false, false
local next_arg = first_pool_arg
for k = 4, #KEYS, 2 do
  local pool = { queue = KEYS[k], set = KEYS[k + 1], name = ARGV[next_arg], zone = ARGV[next_arg + 1], counter = ARGV[next_arg + 2], revision = ARGV[next_arg + 3] }
  local trust = trustOf(prefix .. 'vouched:' .. pool.zone, trust_ttl, restored)
  pool.trusted, any_behind = trust == 'trusted', any_behind or trust == 'behind'
  any_trusted = any_trusted or pool.trusted
  pools[#pools + 1] = pool
  next_arg = next_arg + 4
end
-- Without trust in any zone the key and the limit are not checked: an old copy of Redis may
-- have both wrong. After a restore of Consul what Redis has of the key counts all the same: Consul
-- may have lost it.
if any_behind and keyed and not any_trusted then
  local held = heldKey(key, claim, fingerprint)
  if held then
    return held
  end
end
if any_trusted then
  local refusal = (keyed and heldKey(key, claim, fingerprint)) or overLimit(prefix, user_sessions, claim, keyed and key, most, wanted, image, most_of_image)
  if refusal then
    return refusal
  end
end

local found, seen = {}, {}

-- consider claims a session of a pool's queue, if this launch can take it; others stay
-- where they are.
local function consider(id, pool)
  if seen[id] then
    return
  end
  local session = prefix .. 'session:' .. id
  local held = redis.call('HMGET', session, 'state', 'facts', 'ready_at', 'image', 'zone', 'permits')
  if held[1] == 'ready' and held[4] == image and held[5] == pool.zone and (held[6] or '') == permits
    and (pool.revision == '' or member(held[2], 'revision') == pool.revision)
    and redis.call('SET', prefix .. 'claim:' .. id, claim, 'NX') then
    seen[id] = true
    found[#found + 1] = { id = id, facts = held[2], ready_at = held[3] or '0', pool = pool }
  end
end

-- search considers a pool's sessions with scores of a range, lowest first, until there are
-- enough.
local function search(pool, lowest, highest)
  local from = 0
  while pool.trusted and #found < wanted do
    local page = redis.call('ZRANGEBYSCORE', pool.queue, lowest, highest, 'LIMIT', from, 64)
    if #page == 0 then
      break
    end
    from = from + #page
    for _, id in ipairs(page) do
      if #found < wanted then
        consider(id, pool)
      end
    end
  end
end

local counts = {}
for i, pool in ipairs(pools) do
  local before = #found
  for p = next_arg, pool.trusted and #ARGV or 0 do
    local rank = #found < wanted and redis.call('ZRANK', pool.queue, ARGV[p])
    if rank and rank < prefer_depth and tonumber(redis.call('ZSCORE', pool.queue, ARGV[p])) < demoted_from then
      consider(ARGV[p], pool)
    end
  end
  search(pool, '-inf', '(' .. demoted_from)
  counts[i] = #found - before
end
local ready = {}
for i, pool in ipairs(pools) do
  local before = #found
  search(pool, demoted_from, '+inf')
  ready[i] = pool.trusted and tostring(counts[i] + #found - before) or 'untrusted'
end
if #found < wanted then
  for _, x in ipairs(found) do
    redis.call('DEL', prefix .. 'claim:' .. x.id)
  end
  if any_trusted then
    -- The first pool that is trusted stands for all of them, so that nothing counts twice.
    for _, pool in ipairs(pools) do
      if pool.trusted then
        countMissed(pool.counter, counter_life, now, wanted)
        break
      end
    end
  end
  return { any_trusted and 'empty' or 'untrusted', unpack(ready) }
end

local state = final and 'assigned' or 'claimed'
local ids, reply = {}, { 'claimed', tostring(now) }
for i, x in ipairs(found) do
  ids[i] = x.id
  redis.call('ZREM', x.pool.queue, x.id)
  redis.call('SREM', x.pool.set, x.id)
  markClaimed(prefix .. 'session:' .. x.id, state, claim, user, terms, keepalive_ms, user_sessions, keyed and key, now, final)
  if final then
    countGiven(counterOf(x.pool.counter, now), counter_life, 1)
  end
  redis.call('ZADD', user_sessions, now, x.id)
  emit(events, state, x.id, x.pool.name, 'request_id', request_id, 'user_id', user_id, 'zone', x.pool.zone)
  reply[#reply + 1] = x.id
  reply[#reply + 1] = x.facts
  reply[#reply + 1] = x.ready_at
end
if keyed then
  reserveKey(key, claim, fingerprint, final and final_key_life or key_lease, ids[1], final)
  redis.call('HSET', key, 'sessions', table.concat(ids, ' '))
end
return reply
