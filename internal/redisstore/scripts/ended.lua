-- Notes that nothing of a session runs any more: any state -> ended. The record
-- stays readable for a while.
--
-- KEYS  1 session hash  2 pool set  3 ready queue  4 session index  5 events  6 claim
-- ARGV  1 id  2 pool  3 reason, used where none was noted before  4 life of the record (ms)
--
-- Gives "ended"; "" when the session is not known.
local held = redis.call('HMGET', KEYS[1], 'state', 'reason', 'user_key')
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('SREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
if not held[1] then
  return ''
end
if held[3] then
  redis.call('ZREM', held[3], ARGV[1])
end
if held[1] ~= 'ended' then
  local t = redis.call('TIME')
  local reason = held[2] or ARGV[3]
  redis.call('HSET', KEYS[1], 'state', 'ended', 'reason', reason, 'ended_at', t[1] * 1000 + math.floor(t[2] / 1000))
  redis.call('XADD', KEYS[5], 'MAXLEN', '~', 10000, '*', 'type', 'ended', 'session', ARGV[1], 'pool', ARGV[2], 'reason', reason)
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  redis.call('PEXPIRE', KEYS[6], ARGV[4])
end
return 'ended'
