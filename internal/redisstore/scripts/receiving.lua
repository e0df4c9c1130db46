-- Records that a broker, or a gateway, can receive uses of sessions now. Without such a record for a
-- while, those of that time may be lost, and every session's periods start again afterwards.
--
-- KEYS  1 receiving hash
-- ARGV  1 the longest time between two records without a gap (ms)  2 life of the hash (ms), 0 for ever
--
-- Returns since when they are received without a gap (ms).
local receiving = KEYS[1]
local longest, life = tonumber(ARGV[1]), tonumber(ARGV[2])

local last = redis.call('HMGET', receiving, 'since', 'at')
local since, at = tonumber(last[1] or '0'), tonumber(last[2] or '0')
local now = now_ms()
if since == 0 or math.abs(now - at) > longest then
  since = now
end
redis.call('HSET', receiving, 'since', since, 'at', now)
if life > 0 then
  redis.call('PEXPIRE', receiving, life)
end
return since
