-- Detaches an Idempotency-Key from its session, because its launch tries another session.
--
-- KEYS  1 idempotency key
-- ARGV  1 claim
--
-- Returns 1 if it did, 0 if another claim holds the key or its launch is done.
local key = KEYS[1]
local claim = ARGV[1]

local held = redis.call('HMGET', key, 'claim', 'done')
local holder, done = held[1], held[2]
if holder ~= claim or done then
  return 0
end
redis.call('HDEL', key, 'session', 'sessions')
return 1
