-- Warns the user of a session that it is about to reach its time limit, once for each such end.
--
-- KEYS  1 session hash  2 events  3, 4 unused
-- ARGV  1 id  2 claim that must hold it  3 the end (ms)  4 the warning
--
-- Returns {field, value, ...}: the whole hash after the script; {} if Redis does not have the session.
local session, events = KEYS[1], KEYS[2]
local id, claim, ends, warning = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local held = redis.call('HMGET', session, 'state', 'claim', 'pool', 'end_warned_of')
local state, holder, pool, warned_of = held[1], held[2], held[3], held[4]
if state == 'assigned' and holder == claim and warned_of ~= ends then
  redis.call('HSET', session, 'end_warned_of', ends)
  emit(events, 'ending_soon', id, pool, 'reason', warning, about(session))
end
return redis.call('HGETALL', session)
