-- Notes that the main task of a user's session was restarted: the session is not up until its
-- assign hook has run again. The state stays assigned.
--
-- KEYS  1 session hash  2 events
-- ARGV  1 id  2 claim that must hold the session  3 reason
--
-- Returns "assigned", or the state that forbids it; "fenced" if another claim holds the
-- session; "" if Redis does not have the session.
local session, events = KEYS[1], KEYS[2]
local id, claim, reason = ARGV[1], ARGV[2], ARGV[3]

local held = redis.call('HMGET', session, 'state', 'claim', 'pool', 'restarted_at', 'restart_failure')
local state, holder, pool, restarted_at, failure = held[1], held[2], held[3], held[4], held[5]
if not state then
  return ''
end
if holder ~= claim then
  return 'fenced'
end
if state ~= 'assigned' or (restarted_at and not failure) then
  return state
end
redis.call('HDEL', session, 'restart_failure')
redis.call('HSET', session, 'restarted_at', now_ms())
emit(events, 'restarted', id, pool, 'reason', reason, about(session))
return 'assigned'
