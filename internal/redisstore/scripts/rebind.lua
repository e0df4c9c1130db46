-- Binds an Idempotency-Key to the session of an earlier launch that Redis has lost, for the
-- key's whole life. The repeat that discovered the earlier launch may have reserved the key.
--
-- KEYS  1 idempotency key
-- ARGV  1 claim of the repeat  2 claim of the earlier launch  3 launch fingerprint  4 session id  5 life of the key (ms)
--       6 ids of all the launch's sessions if it has several, "" otherwise
--
-- Returns 1 if it did, 0 if a third claim holds the key.
local key = KEYS[1]
local repeat_claim, claim, fingerprint, id, key_life, ids = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]

local holder = redis.call('HGET', key, 'claim')
if holder and holder ~= repeat_claim and holder ~= claim then
  return 0
end
redis.call('HSET', key, 'claim', claim, 'launch', fingerprint, 'session', id, 'done', '1')
if ids ~= '' then
  redis.call('HSET', key, 'sessions', ids)
else
  redis.call('HDEL', key, 'sessions')
end
redis.call('PEXPIRE', key, key_life)
return 1
