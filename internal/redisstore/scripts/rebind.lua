-- Binds an Idempotency-Key for good to the session of an earlier launch, which Redis had
-- forgotten: the repeat that found that out has reserved the key meanwhile.
--
-- KEYS  1 idempotency key
-- ARGV  1 claim of the repeat  2 claim of the earlier launch  3 launch fingerprint  4 session  5 life of the key (ms)
--       6 the ids of all of the launch's sessions where they are several, else ""
--
-- Gives 1 when it did, 0 when the key is yet another claim's.
local holder = redis.call('HGET', KEYS[1], 'claim')
if holder and holder ~= ARGV[1] and holder ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], 'claim', ARGV[2], 'launch', ARGV[3], 'session', ARGV[4], 'done', '1')
if ARGV[6] ~= '' then
  redis.call('HSET', KEYS[1], 'sessions', ARGV[6])
else
  redis.call('HDEL', KEYS[1], 'sessions')
end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 1
