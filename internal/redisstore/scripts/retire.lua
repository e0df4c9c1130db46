-- Takes an unused session out of its pool and never puts it back:
-- pending | starting | ready -> retiring.
--
-- KEYS  1 session hash  2 pool set  3 ready queue  4 events  5 claim
-- ARGV  1 id  2 pool  3 reason
--
-- Returns "retiring", or the state that forbids it; "" if Redis does not have the session.
local session, pool_set, ready, events, claim = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, pool, reason = ARGV[1], ARGV[2], ARGV[3]

local state = redis.call('HGET', session, 'state')
if not state or state == 'retiring' then
  return state or ''
end
if (state ~= 'pending' and state ~= 'starting' and state ~= 'ready') or redis.call('EXISTS', claim) == 1 then
  return state
end
redis.call('ZREM', ready, id)
redis.call('SREM', pool_set, id)
redis.call('HSET', session, 'state', 'retiring', 'reason', reason)
emit(events, 'retiring', id, pool, 'reason', reason, about(session))
return 'retiring'
