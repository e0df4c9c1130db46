-- Finishes a launch: claimed -> assigned, or for an on-demand session pending |
-- starting -> assigned. If the session's hash names the launch's Idempotency-Key, the
-- key is bound to the session for its whole life.
--
-- KEYS  1 session hash  2 events
-- ARGV  1 id  2 claim  3 facts  4 life of the key (ms)  5 time of assignment (ms), "" for now
--       6 prefix of the activity counters: the pool's, or the zone and image's for an on-demand session
--       7 life of a counter (ms)
--
-- Returns {"assigned", assigned_at}; {state} if that state forbids it; {"fenced"} if another
-- claim holds the session; {""} if Redis does not have the session.
local session, events = KEYS[1], KEYS[2]
local id, claim, facts, key_life, assigned_at = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local counters, counter_life = ARGV[6], ARGV[7]

local held = redis.call('HMGET', session, 'state', 'claim', 'pool', 'assigned_at', 'key')
local state, holder, pool, at, key = held[1], held[2], held[3], held[4], held[5]
if not state then
  return { '' }
end
if holder ~= claim then
  return { 'fenced' }
end
local on_demand = pool == ''
if state == 'claimed' or (on_demand and (state == 'pending' or state == 'starting')) then
  at = assigned_at
  if at == '' then
    at = now_ms()
  end
  redis.call('HSET', session, 'state', 'assigned', 'facts', facts, 'assigned_at', at)
  countGiven(counters, counter_life, at)
  emit(events, 'assigned', id, pool)
elseif state ~= 'assigned' then
  return { state }
end
if key and redis.call('HGET', key, 'claim') == claim then
  redis.call('HSET', key, 'session', id, 'done', '1')
  redis.call('PEXPIRE', key, key_life)
end
return { 'assigned', tostring(at) }
