-- Takes over a later end of a user's session from its fate record. A session whose end has begun is
-- not extended, so that only one of the two can win. To ask for more time is a use of the session.
--
-- KEYS  1 session hash  2 events
-- ARGV  1 id  2 claim that must hold the session  3 terms (JSON)  4 reason
--
-- Returns {"assigned", field, value, ...} with the whole hash; {state} if that state forbids it;
-- {"fenced"} if another claim holds the session; {""} if Redis does not have the session.
local session, events = KEYS[1], KEYS[2]
local id, claim, terms, reason = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local held = redis.call('HMGET', session, 'state', 'claim', 'pool', 'terms')
local state, holder, pool, before = held[1], held[2], held[3], held[4]
if not state then
  return { '' }
end
if holder ~= claim then
  return { 'fenced' }
end
if state ~= 'assigned' then
  return { state }
end
if member(before, 'extended') ~= member(terms, 'extended') then
  redis.call('HSET', session, 'terms', terms)
  emit(events, 'extended', id, pool, 'reason', reason, about(session))
end
used(session)
local reply = redis.call('HGETALL', session)
table.insert(reply, 1, 'assigned')
return reply
