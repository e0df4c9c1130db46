-- Ends a session that has had no keepalive for too long: assigned -> ending. A keepalive
-- that came in time prevents it. Both use Redis's clock, so only one of them can win.
--
-- While brokers, or the gateways of an installation that has some, could not receive keepalives, none counts as missed: the session's period
-- starts when they began to receive them again.
--
-- KEYS  1 session hash  2 events  3 receiving hash  4 that of gateways
-- ARGV  1 id  2 reason  3 the longest time between two records of receiving without a gap (ms)
--
-- Returns {field, value, ...}: the whole hash after the script; {} if Redis does not have the session.
local session, events, brokers, gateways = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, reason, longest = ARGV[1], ARGV[2], tonumber(ARGV[3])

local held = redis.call('HMGET', session, 'state', 'keepalive_ms', 'keepalive_at', 'assigned_at', 'pool', 'user_key')
local state, keepalive, pool, user_sessions = held[1], tonumber(held[2] or '0'), held[5], held[6]
if state == 'assigned' and keepalive > 0 then
  local since, now = received(brokers, gateways, longest)
  if since and math.max(tonumber(held[3] or '0'), tonumber(held[4] or '0'), since) + keepalive <= now then
    finish(session, events, id, pool, user_sessions, reason)
  end
end
return redis.call('HGETALL', session)
