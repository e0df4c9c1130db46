-- Takes the oldest ready session of one pool for a launch: ready -> claimed. Preferred
-- sessions near the head of the queue come first, those on nodes that are being drained
-- last, preferred or not. Where no fate record follows the claim,
-- the session is assigned in the same step. The launch's Idempotency-Key, where it has
-- one, is reserved, and the user's sessions are counted against the launch's limit.
-- claim_several.lua does the same for N sessions and several pools.
--
-- KEYS  1 idempotency key (unused when the fingerprint is "")  2 the user's sessions  3 events
--       4 ready queue  5 pool set
-- ARGV  1 prefix  2 claim  3 user (JSON)  4 launch fingerprint, "" without a key  5 lease of the key (ms)
--       6 image  7 terms (JSON)  8 keepalive (ms), 0 for none  9 most sessions of the user, 0 for no limit
--       10 permissions  11 life of the key (ms) where the claim is final, else ""
--       12 how far down a queue preferred sessions are taken  13 TTL of a scaler's trust (ms)
--       14 life of a counter (ms)  15 1, the number of sessions
--       16 the launch's request id, kept with the events, "" for none
--       17 pool  18 zone  19 prefix of the pool's counters  20... the preferred sessions
--
-- Returns one of
--   {"claimed", now, id, facts, ready_at}
--   {"empty", "0"}              nothing is claimable; the key stays reserved, since the launch
--                               goes on to sessions made on demand
--   {"untrusted", "untrusted"}  Redis is not trusted for the zone
--   {"repeat", session, done}, {"reused"} or {"limit", id, ...} as heldKey and overLimit return them
-- Sessions at the head of the queue that this launch cannot take are removed from it, and
-- sessions that have ended are removed from the user's sessions (overLimit).
local key, user_sessions, events, queue, pool_set = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local prefix, claim, user, fingerprint, key_lease = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local image, terms, keepalive_ms, most, permits, final_key_life = ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local prefer_depth, trust_ttl, counter_life = tonumber(ARGV[12]), tonumber(ARGV[13]), ARGV[14]
local request_id, pool, zone, counter = ARGV[16], ARGV[17], ARGV[18], ARGV[19]
local first_preferred = 20

local keyed, final = fingerprint ~= '', final_key_life ~= ''
local now = now_ms()
-- Trust is checked before the key and the limit: an old copy of Redis may have both wrong.
local at = redis.call('HGET', prefix .. 'vouched:' .. zone, 'at')
if not at or math.abs(now - tonumber(at)) > trust_ttl then
  return { 'untrusted', 'untrusted' }
end
local refusal = (keyed and heldKey(key, claim, fingerprint)) or overLimit(prefix, user_sessions, claim, most, 1)
if refusal then
  return refusal
end

-- take claims a session that is out of the queue; nil when this launch cannot take it.
local function take(id)
  local session = prefix .. 'session:' .. id
  local held = redis.call('HMGET', session, 'state', 'facts', 'ready_at', 'image', 'zone', 'permits')
  if held[1] ~= 'ready' then
    return nil -- it has moved on
  end
  if held[4] ~= image or held[5] ~= zone or (held[6] or '') ~= permits then
    -- Made for what the pool's config was before: the scaler retires it.
    redis.call('HSET', session, 'state', 'starting')
    emit(events, 'withdrawn', id, pool)
    return nil
  end
  if not redis.call('SET', prefix .. 'claim:' .. id, claim, 'NX') then
    return nil
  end
  local state = final and 'assigned' or 'claimed'
  markClaimed(session, state, claim, user, terms, keepalive_ms, user_sessions, keyed and key, final and now)
  if final then
    countGiven(counter, counter_life, now)
  end
  if keyed then
    reserveKey(key, claim, fingerprint, final and final_key_life or key_lease, id, final)
  end
  redis.call('SREM', pool_set, id)
  redis.call('ZADD', user_sessions, now, id)
  emit(events, state, id, pool, 'request_id', request_id)
  return { 'claimed', tostring(now), id, held[2], held[3] or '0' }
end

for i = first_preferred, #ARGV do
  local rank = redis.call('ZRANK', queue, ARGV[i])
  if rank and rank < prefer_depth and tonumber(redis.call('ZSCORE', queue, ARGV[i])) < demoted_from then
    redis.call('ZREM', queue, ARGV[i])
    local taken = take(ARGV[i])
    if taken then
      return taken
    end
  end
end
while true do
  local popped = redis.call('ZPOPMIN', queue)
  if not popped[1] then
    if keyed then
      reserveKey(key, claim, fingerprint, key_lease)
    end
    return { 'empty', '0' }
  end
  local taken = take(popped[1])
  if taken then
    return taken
  end
end
