-- Notes that the assign hook of a user's session has run again after a restart of its main
-- task: the session is up, or with a failure it stays its user's and is not up. The state
-- stays assigned. A new failure is an event of its own, which has the hook's output.
--
-- KEYS  1 session hash  2 events
-- ARGV  1 id  2 claim that must hold the session  3 facts  4 failure, "" if the hook succeeded
--       5 reason
--
-- Returns "assigned", or the state that forbids it; "fenced" if another claim holds the
-- session; "" if Redis does not have the session.
local session, events = KEYS[1], KEYS[2]
local id, claim, facts, failure, reason = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local held = redis.call('HMGET', session, 'state', 'claim', 'pool', 'restarted_at')
local state, holder, pool, restarted_at = held[1], held[2], held[3], held[4]
if not state then
  return ''
end
if holder ~= claim then
  return 'fenced'
end
if state ~= 'assigned' then
  return state
end
redis.call('HSET', session, 'facts', facts)
if failure ~= '' then
  redis.call('HSET', session, 'restart_failure', failure)
  if not restarted_at then
    redis.call('HSET', session, 'restarted_at', now_ms())
  end
  return 'assigned'
end
redis.call('HDEL', session, 'restarted_at', 'restart_failure')
emit(events, 'reassigned', id, pool, 'reason', reason, about(session))
return 'assigned'
