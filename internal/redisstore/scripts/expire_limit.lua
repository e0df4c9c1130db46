-- Ends a session that has reached its time limit: assigned -> ending. One that was extended meanwhile
-- stays, so that an extension and the end cannot both win.
--
-- KEYS  1 session hash  2 events  3, 4 unused
-- ARGV  1 id  2 claim that must hold it  3 the end (ms)  4 by how much it was extended, as its terms
--       have it; "" if it was not  5 reason
--
-- Returns {field, value, ...}: the whole hash after the script; {} if Redis does not have the session.
local session, events = KEYS[1], KEYS[2]
local id, claim, ends, extended, reason = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]

local held = redis.call('HMGET', session, 'state', 'claim', 'terms', 'pool', 'user_key')
local state, holder, terms, pool, user_sessions = held[1], held[2], held[3], held[4], held[5]
if state == 'assigned' and holder == claim and member(terms, 'extended') == extended and ends <= now_ms() then
  finish(session, events, id, pool, user_sessions, reason)
end
return redis.call('HGETALL', session)
