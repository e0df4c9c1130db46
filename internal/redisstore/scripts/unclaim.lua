-- Puts a claimed session back into its pool: claimed -> ready. Only for one of which it
-- is known that no fate record was written: nothing of a user's was ever sent to it.
--
-- KEYS  1 session hash  2 pool set  3 ready queue  4 session index  5 events  6 claim
-- ARGV  1 id  2 claim that must hold it  3 pool
--
-- Gives "ready", or the state that forbids it; "fenced" when it is another claim's, ""
-- when it is not known.
local held = redis.call('HMGET', KEYS[1], 'state', 'claim', 'user_key')
local state = held[1]
if not state then
  return ''
end
if held[2] ~= ARGV[2] or redis.call('GET', KEYS[6]) ~= ARGV[2] then
  return 'fenced'
end
local created = redis.call('ZSCORE', KEYS[4], ARGV[1])
if state ~= 'claimed' or not created then
  return state
end
redis.call('DEL', KEYS[6])
redis.call('HDEL', KEYS[1], 'claim', 'user', 'terms', 'keepalive_ms', 'user_key', 'key')
redis.call('HSET', KEYS[1], 'state', 'ready')
if held[3] then
  redis.call('ZREM', held[3], ARGV[1])
end
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[3], created, ARGV[1])
redis.call('XADD', KEYS[5], 'MAXLEN', '~', 10000, '*', 'type', 'ready', 'session', ARGV[1], 'pool', ARGV[3])
return 'ready'
