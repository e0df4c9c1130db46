-- Binds an Idempotency-Key to its session for good.
--
-- KEYS  1 idempotency key
-- ARGV  1 claim  2 life of the key (ms)
--
-- Gives 1 when it did, 0 when the key is another claim's.
if redis.call('HGET', KEYS[1], 'claim') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'done', '1')
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
