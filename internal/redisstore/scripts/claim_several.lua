-- Takes N ready sessions for one launch, or none: ready -> claimed, each of them in this
-- one step. The pools are gone through in the order given, each from its oldest session
-- on. Where nothing but the claim decides, the sessions are assigned in the same step.
-- The launch's Idempotency-Key, where it has one, is reserved in the same step, and
-- the user's sessions are counted against the limit that the launch has.
--
-- KEYS  1 idempotency key (unused when ARGV[4] is "")  2 the user's sessions  3 events
--       then for each pool: ready queue, pool set
-- ARGV  1 prefix  2 claim  3 user (JSON)  4 launch fingerprint, "" without a key  5 lease of the key (ms)
--       6 image  7 terms (JSON)  8 keepalive (ms), 0 for none  9 most sessions of the user, 0 for no limit
--       10 permissions  11 life of the key (ms) where the claim is final, "" where it is not
--       12 for how long a scaler's word is good (ms)  13 life of a counter (ms)  14 how many sessions
--       15 the launch's request id, kept with the events, "" for none
--       then for each pool: pool, zone, prefix of the pool's counters
--
-- Gives one of
--   {"claimed", now, id, facts, ready_at, ...}   three for each session
--   {"empty", ready, ...}        too few; how many there are of each pool, "stale" where no
--                                scaler has vouched for its zone of late. Nothing was changed
--   {"repeat", session, done}, {"reused"} or {"limit", id, ...} as claim.lua does; nothing was changed
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local wanted = tonumber(ARGV[14])
local keyed = ARGV[4] ~= ''
local refusal = (keyed and heldKey(KEYS[1], ARGV[2], ARGV[4])) or overLimit(ARGV[1], KEYS[2], ARGV[2], ARGV[9], wanted)
if refusal then
  return refusal
end

-- believed reports whether a scaler has vouched for a zone of late.
local function believed(zone)
  local vouched = redis.call('HGET', ARGV[1] .. 'vouched:' .. zone, 'at')
  return vouched and math.abs(now - tonumber(vouched)) <= tonumber(ARGV[12])
end

-- fits looks at a session of a queue, as claim.lua does, and leaves it as it is.
local function fits(id, pool)
  local session = ARGV[1] .. 'session:' .. id
  local held = redis.call('HMGET', session, 'state', 'facts', 'ready_at', 'image', 'zone', 'permits')
  if held[1] ~= 'ready' or held[4] ~= ARGV[6] or held[5] ~= pool.zone or (held[6] or '') ~= ARGV[10] then
    return nil
  end
  if redis.call('EXISTS', ARGV[1] .. 'claim:' .. id) == 1 then
    return nil
  end
  return { id = id, facts = held[2], ready_at = held[3] or '0', pool = pool }
end

local found, seen = {}, {}
local answer = { 'empty' }
local first = 16
for k = 4, #KEYS, 2 do
  local pool = { queue = KEYS[k], set = KEYS[k + 1], name = ARGV[first], zone = ARGV[first + 1], counter = ARGV[first + 2] }
  first = first + 3
  if not believed(pool.zone) then
    answer[#answer + 1] = 'stale'
  else
    local before, from = #found, 0
    while #found < wanted do
      local page = redis.call('ZRANGE', pool.queue, from, from + 63)
      if #page == 0 then
        break
      end
      from = from + #page
      for _, id in ipairs(page) do
        local x = #found < wanted and not seen[id] and fits(id, pool)
        if x then
          seen[id] = true
          found[#found + 1] = x
        end
      end
    end
    answer[#answer + 1] = tostring(#found - before)
  end
end
if #found < wanted then
  return answer
end

local final = ARGV[11] ~= ''
local state = final and 'assigned' or 'claimed'
local ids = {}
answer = { 'claimed', tostring(now) }
for i, x in ipairs(found) do
  ids[i] = x.id
  redis.call('ZREM', x.pool.queue, x.id)
  redis.call('SREM', x.pool.set, x.id)
  redis.call('SET', ARGV[1] .. 'claim:' .. x.id, ARGV[2], 'NX')
  redis.call('HSET', ARGV[1] .. 'session:' .. x.id, 'state', state, 'claim', ARGV[2], 'user', ARGV[3], 'terms', ARGV[7],
    'keepalive_ms', ARGV[8], 'user_key', KEYS[2])
  if final then
    redis.call('HSET', ARGV[1] .. 'session:' .. x.id, 'assigned_at', now)
    countGiven(x.pool.counter, ARGV[13], now)
  end
  if keyed then
    redis.call('HSET', ARGV[1] .. 'session:' .. x.id, 'key', KEYS[1])
  end
  redis.call('ZADD', KEYS[2], now, x.id)
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', 10000, '*', 'type', state, 'session', x.id, 'pool', x.pool.name,
    'request_id', ARGV[15])
  answer[#answer + 1] = x.id
  answer[#answer + 1] = x.facts
  answer[#answer + 1] = x.ready_at
end
if keyed then
  reserveKey(KEYS[1], ARGV[2], ARGV[4], final and ARGV[11] or ARGV[5], ids[1], final)
  redis.call('HSET', KEYS[1], 'sessions', table.concat(ids, ' '))
end
return answer
