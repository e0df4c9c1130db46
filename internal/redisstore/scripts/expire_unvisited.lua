-- Ends a session that its user has never used: assigned -> ending. A use that came in time prevents
-- it. Both use Redis's clock, so only one of them can win.
--
-- If a use may have been lost since the session was claimed, because Redis, or all brokers or
-- gateways, were away, it counts as used, from then on.
--
-- KEYS  1 session hash  2 events  3 receiving hash of brokers  4 that of gateways
-- ARGV  1 id  2 claim that must hold it  3 the term (ms)  4 reason
--       5 the longest time between two records of receiving without a gap (ms)
--
-- Returns {field, value, ...}: the whole hash after the script; {} if Redis does not have the session.
local session, events, brokers, gateways = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, claim, term, reason, longest = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])

local held = redis.call('HMGET', session, 'state', 'claim', 'unvisited_since', 'assigned_at', 'pool', 'user_key')
local state, holder, unvisited, pool, user_sessions = held[1], held[2], tonumber(held[3] or '0'), held[5], held[6]
local since, now = received(brokers, gateways, longest)
if state == 'assigned' and holder == claim and unvisited > 0 and since then
  if since > unvisited then
    redis.call('HDEL', session, 'unvisited_since')
  elseif tonumber(held[4] or '0') + term <= now then
    finish(session, events, id, pool, user_sessions, reason)
  end
end
return redis.call('HGETALL', session)
