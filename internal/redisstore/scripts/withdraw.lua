-- Takes a session whose health checks fail out of its ready queue: ready -> starting.
--
-- KEYS  1 session hash  2 ready queue  3 events
-- ARGV  1 id  2 pool
--
-- Returns the session's state after the script; "" if Redis does not have the session.
local session, ready, events = KEYS[1], KEYS[2], KEYS[3]
local id, pool = ARGV[1], ARGV[2]

local state = redis.call('HGET', session, 'state')
if state ~= 'ready' then
  return state or ''
end
redis.call('ZREM', ready, id)
redis.call('HSET', session, 'state', 'starting')
emit(events, 'withdrawn', id, pool, about(session))
return 'starting'
