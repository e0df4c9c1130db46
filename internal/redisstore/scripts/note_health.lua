-- Notes whether a user's session runs with passing checks. The state stays assigned.
--
-- KEYS  1 session hash  2 events
-- ARGV  1 id  2 claim that must hold the session  3 "1" for healthy, "0" for not  4 reason
--
-- Returns "assigned", or the state that forbids it; "fenced" if another claim holds the
-- session; "" if Redis does not have the session.
local session, events = KEYS[1], KEYS[2]
local id, claim, healthy, reason = ARGV[1], ARGV[2], ARGV[3] == '1', ARGV[4]

local held = redis.call('HMGET', session, 'state', 'claim', 'pool', 'unhealthy_since')
local state, holder, pool, unhealthy_since = held[1], held[2], held[3], held[4]
if not state then
  return ''
end
if holder ~= claim then
  return 'fenced'
end
if state ~= 'assigned' or healthy == not unhealthy_since then
  return state
end
if healthy then
  redis.call('HDEL', session, 'unhealthy_since')
  redis.call('HSET', session, 'recovered_at', now_ms())
  emit(events, 'recovered', id, pool, 'reason', reason, about(session))
else
  redis.call('HSET', session, 'unhealthy_since', now_ms())
  emit(events, 'unhealthy', id, pool, 'reason', reason, about(session))
end
return 'assigned'
