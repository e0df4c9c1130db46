-- Binds an Idempotency-Key to its session for the key's whole life.
--
-- KEYS  1 idempotency key
-- ARGV  1 claim  2 life of the key (ms)
--
-- Returns 1 if it did, 0 if another claim holds the key.
local key = KEYS[1]
local claim, key_life = ARGV[1], ARGV[2]

if redis.call('HGET', key, 'claim') ~= claim then
  return 0
end
redis.call('HSET', key, 'done', '1')
redis.call('PEXPIRE', key, key_life)
return 1
