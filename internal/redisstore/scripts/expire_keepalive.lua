-- Ends a session whose user has not been heard of for its keepalive:
-- assigned -> ending, unless a keepalive came in time. Both by Redis's clock, so
-- that a keepalive and this cannot both win.
--
-- KEYS  1 session hash  2 events
-- ARGV  1 id  2 reason  3 when keepalives may have been lost (ms), 0 for never: from then on the user has all the time again
--
-- Gives {every field and value of the hash} as it then is; {} when it is not known.
local held = redis.call('HMGET', KEYS[1], 'state', 'keepalive_ms', 'keepalive_at', 'assigned_at', 'pool', 'user_key')
local keepalive = tonumber(held[2] or '0')
if held[1] == 'assigned' and keepalive > 0 then
  local t = redis.call('TIME')
  local last = math.max(tonumber(held[3] or '0'), tonumber(held[4] or '0'), tonumber(ARGV[3]))
  if last + keepalive <= t[1] * 1000 + math.floor(t[2] / 1000) then
    redis.call('HSET', KEYS[1], 'state', 'ending', 'reason', ARGV[2])
    if held[6] then
      redis.call('ZREM', held[6], ARGV[1])
    end
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', 10000, '*', 'type', 'ending', 'session', ARGV[1], 'pool', held[5], 'reason', ARGV[2])
  end
end
return redis.call('HGETALL', KEYS[1])
