-- Takes a session whose checks fail out of its queue: ready -> starting.
--
-- KEYS  1 session hash  2 ready queue  3 events
-- ARGV  1 id  2 pool
--
-- Gives the state that the session now has; "" when it is not known.
local state = redis.call('HGET', KEYS[1], 'state')
if state ~= 'ready' then
  return state or ''
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1], 'state', 'starting')
redis.call('XADD', KEYS[3], 'MAXLEN', '~', 10000, '*', 'type', 'withdrawn', 'session', ARGV[1], 'pool', ARGV[2])
return 'starting'
