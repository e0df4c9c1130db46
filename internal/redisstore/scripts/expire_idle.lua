-- Ends a session that was not used for too long: assigned -> ending, and warns its user before, once
-- after each use. A use that came in time prevents both. All use Redis's clock.
--
-- While brokers or gateways could not receive uses, none counts as missed: the session's period
-- starts when they began to receive them again.
--
-- KEYS  1 session hash  2 events  3 receiving hash of brokers  4 that of gateways
-- ARGV  1 id  2 claim that must hold it  3 the term (ms)  4 how long before the end its user is
--       warned (ms)  5 the warning  6 reason of the end
--       7 the longest time between two records of receiving without a gap (ms)
--
-- Returns {field, value, ...}: the whole hash after the script; {} if Redis does not have the session.
local session, events, brokers, gateways = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, claim, term, lead, warning, reason, longest =
  ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], ARGV[6], tonumber(ARGV[7])

local held = redis.call('HMGET', session, 'state', 'claim', 'keepalive_at', 'assigned_at', 'idle_warned_at', 'pool', 'user_key')
local state, holder, pool, user_sessions = held[1], held[2], held[6], held[7]
local since, now = received(brokers, gateways, longest)
if state == 'assigned' and holder == claim and since then
  local used = math.max(tonumber(held[3] or '0'), tonumber(held[4] or '0'), since)
  local warned = tonumber(held[5] or '0')
  if warned <= used then
    if used + term - lead <= now then
      redis.call('HSET', session, 'idle_warned_at', now)
      emit(events, 'idle_soon', id, pool, 'reason', warning, about(session))
    end
  elseif math.max(used + term, warned + lead) <= now then
    finish(session, events, id, pool, user_sessions, reason)
  end
end
return redis.call('HGETALL', session)
