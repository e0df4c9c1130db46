-- Takes the oldest ready session of a pool for a launch: ready -> claimed. Sessions
-- that the caller prefers come first, if they are among the oldest. Where nothing but
-- the claim decides, it is assigned in the same step.
-- The launch's Idempotency-Key, where it has one, is reserved in the same step,
-- and the user's sessions are counted against the limit that the launch has.
--
-- KEYS  1 ready queue  2 pool set  3 events  4 idempotency key (unused when ARGV[5] is "")  5 the user's sessions
-- ARGV  1 prefix  2 pool  3 claim  4 user (JSON)  5 launch fingerprint, "" without a key  6 lease of the key (ms)
--       7 image  8 zone  9 terms (JSON)  10 keepalive (ms), 0 for none  11 most sessions of the user, 0 for no limit
--       12 permissions  13 life of the key (ms) where the claim is final, "" where it is not
--       14 how far down the queue preferred ones are taken  15 for how long a scaler's word is good (ms)
--       16 prefix of the pool's counters  17 life of a counter (ms)
--       18 the launch's request id, kept with the event, "" for none
--       19... sessions that are preferred
--
-- Gives one of
--   {"claimed", id, facts, ready_at, now}
--   {"stale"}                    no scaler has vouched for the zone of late: Redis may be an old copy of itself
--   {"empty"}                    nothing is claimable; the key is reserved all the same
--   {"repeat", session, done}    another claim holds the key ("" where it has no session yet)
--   {"reused"}                   the key belongs to a different launch
--   {"limit", id, ...}           the user has as many sessions as allowed: these
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local vouched = redis.call('HGET', ARGV[1] .. 'vouched:' .. ARGV[8], 'at')
if not vouched or math.abs(now - tonumber(vouched)) > tonumber(ARGV[15]) then
  return { 'stale' }
end
local keyed = ARGV[5] ~= ''
local refusal = (keyed and heldKey(KEYS[4], ARGV[3], ARGV[5])) or overLimit(ARGV[1], KEYS[5], ARGV[3], ARGV[11])
if refusal then
  return refusal
end

local final = ARGV[13] ~= ''
local state = final and 'assigned' or 'claimed'

-- take claims a session that is out of the queue; nil when it is no candidate.
local function take(id)
  local session = ARGV[1] .. 'session:' .. id
  local held = redis.call('HMGET', session, 'state', 'facts', 'ready_at', 'image', 'zone', 'permits')
  if held[1] ~= 'ready' then
    return nil -- it has moved on, and is simply dropped from the queue
  end
  if held[4] ~= ARGV[7] or held[5] ~= ARGV[8] or (held[6] or '') ~= ARGV[12] then
    -- Made for what the pool's config said before: the scaler sees to it.
    redis.call('HSET', session, 'state', 'starting')
    redis.call('XADD', KEYS[3], 'MAXLEN', '~', 10000, '*', 'type', 'withdrawn', 'session', id, 'pool', ARGV[2])
    return nil
  end
  if not redis.call('SET', ARGV[1] .. 'claim:' .. id, ARGV[3], 'NX') then
    return nil
  end
  local fields = { 'state', state, 'claim', ARGV[3], 'user', ARGV[4], 'terms', ARGV[9], 'keepalive_ms', ARGV[10], 'user_key', KEYS[5] }
  local function also(field, value)
    fields[#fields + 1] = field
    fields[#fields + 1] = value
  end
  if final then
    also('assigned_at', now)
    countGiven(ARGV[16], ARGV[17], now)
  end
  if keyed then
    also('key', KEYS[4])
    reserveKey(KEYS[4], ARGV[3], ARGV[5], final and ARGV[13] or ARGV[6], id, final)
  end
  redis.call('HSET', session, unpack(fields))
  redis.call('SREM', KEYS[2], id)
  redis.call('ZADD', KEYS[5], now, id)
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', 10000, '*', 'type', state, 'session', id, 'pool', ARGV[2], 'request_id', ARGV[18])
  return { 'claimed', id, held[2], held[3] or '0', tostring(now) }
end

for i = 19, #ARGV do
  local rank = redis.call('ZRANK', KEYS[1], ARGV[i])
  if rank and rank < tonumber(ARGV[14]) then
    redis.call('ZREM', KEYS[1], ARGV[i])
    local taken = take(ARGV[i])
    if taken then
      return taken
    end
  end
end
while true do
  local popped = redis.call('ZPOPMIN', KEYS[1])
  if not popped[1] then
    if keyed then
      reserveKey(KEYS[4], ARGV[3], ARGV[5], ARGV[6])
    end
    return { 'empty' }
  end
  local taken = take(popped[1])
  if taken then
    return taken
  end
end
