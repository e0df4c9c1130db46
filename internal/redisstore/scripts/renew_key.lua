-- Renews the lease of an Idempotency-Key whose launch is under way. It shortens none.
--
-- KEYS  1 idempotency key
-- ARGV  1 claim  2 lease of the key (ms)
--
-- Returns 1 if it did, 0 if another claim or nobody holds the key, or its launch is done.
local key = KEYS[1]
local claim, key_lease = ARGV[1], ARGV[2]

local held = redis.call('HMGET', key, 'claim', 'done')
local holder, done = held[1], held[2]
if holder ~= claim or done then
  return 0
end
if redis.call('PTTL', key) >= tonumber(key_lease) then
  return 1
end
return redis.call('PEXPIRE', key, key_lease)
