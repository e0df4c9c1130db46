-- Records that a broker can receive keepalives now. Without such a record for a while, those
-- of that time may be lost, and every session's keepalive period starts again afterwards.
--
-- KEYS  1 receiving hash
-- ARGV  1 the longest time between two records without a gap (ms)
--
-- Returns since when keepalives are received without a gap (ms).
local receiving = KEYS[1]
local longest = tonumber(ARGV[1])

local last = redis.call('HMGET', receiving, 'since', 'at')
local since, at = tonumber(last[1] or '0'), tonumber(last[2] or '0')
local now = now_ms()
if since == 0 or math.abs(now - at) > longest then
  since = now
end
redis.call('HSET', receiving, 'since', since, 'at', now)
return since
