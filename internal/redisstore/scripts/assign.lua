-- Finishes a launch: claimed -> assigned, or for an on-demand session pending |
-- starting -> assigned. The launch's Idempotency-Key, where it has one, is
-- bound to the session for good; the session's hash names it.
--
-- KEYS  1 session hash  2 events
-- ARGV  1 id  2 claim  3 facts  4 life of the key (ms)  5 assigned (ms), "" for now
--       6 prefix of the counters of what was given, of the pool or, on demand, of the zone and image  7 life of a counter (ms)
--
-- Gives {"assigned", assigned_at}, or {state} that forbids it, {"fenced"} when
-- the session is another claim's, {""} when it is not known.
local held = redis.call('HMGET', KEYS[1], 'state', 'claim', 'pool', 'assigned_at', 'key')
local state = held[1]
if not state then
  return { '' }
end
if held[2] ~= ARGV[2] then
  return { 'fenced' }
end
local onDemand = held[3] == ''
local at = held[4]
if state == 'claimed' or (onDemand and (state == 'pending' or state == 'starting')) then
  at = ARGV[5]
  if at == '' then
    local t = redis.call('TIME')
    at = t[1] * 1000 + math.floor(t[2] / 1000)
  end
  redis.call('HSET', KEYS[1], 'state', 'assigned', 'facts', ARGV[3], 'assigned_at', at)
  countGiven(ARGV[6], ARGV[7], at)
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', 10000, '*', 'type', 'assigned', 'session', ARGV[1], 'pool', held[3])
elseif state ~= 'assigned' then
  return { state }
end
local key = held[5]
if key and redis.call('HGET', key, 'claim') == ARGV[2] then
  redis.call('HSET', key, 'session', ARGV[1], 'done', '1')
  redis.call('PEXPIRE', key, ARGV[4])
end
return { 'assigned', tostring(at) }
