-- Takes an unused session out of its pool for good: pending | starting | ready -> retiring.
--
-- KEYS  1 session hash  2 pool set  3 ready queue  4 events  5 claim
-- ARGV  1 id  2 pool  3 reason
--
-- Gives "retiring", or the state that forbids it; "" when the session is not known.
local state = redis.call('HGET', KEYS[1], 'state')
if not state or state == 'retiring' then
  return state or ''
end
if (state ~= 'pending' and state ~= 'starting' and state ~= 'ready') or redis.call('EXISTS', KEYS[5]) == 1 then
  return state
end
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('SREM', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1], 'state', 'retiring', 'reason', ARGV[3])
redis.call('XADD', KEYS[4], 'MAXLEN', '~', 10000, '*', 'type', 'retiring', 'session', ARGV[1], 'pool', ARGV[2], 'reason', ARGV[3])
return 'retiring'
