-- Lets an Idempotency-Key go on without a session: its launch tries another one.
--
-- KEYS  1 idempotency key
-- ARGV  1 claim
--
-- Gives 1 when it did, 0 when the key is another claim's or bound for good.
local held = redis.call('HMGET', KEYS[1], 'claim', 'done')
if held[1] ~= ARGV[1] or held[2] then
  return 0
end
redis.call('HDEL', KEYS[1], 'session', 'sessions')
return 1
