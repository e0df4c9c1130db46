-- Ends a session that has had no keepalive for too long: assigned -> ending. A keepalive
-- that came in time prevents it. Both use Redis's clock, so only one of them can win.
--
-- While brokers could not receive keepalives, none counts as missed: the session's period
-- starts when they began to receive them again.
--
-- KEYS  1 session hash  2 events  3 receiving hash
-- ARGV  1 id  2 reason  3 the longest time between two records of receiving without a gap (ms)
--
-- Returns {field, value, ...}: the whole hash after the script; {} if Redis does not have the session.
local session, events, receiving = KEYS[1], KEYS[2], KEYS[3]
local id, reason, longest = ARGV[1], ARGV[2], tonumber(ARGV[3])

local held = redis.call('HMGET', session, 'state', 'keepalive_ms', 'keepalive_at', 'assigned_at', 'pool', 'user_key')
local state, keepalive, pool, user_sessions = held[1], tonumber(held[2] or '0'), held[5], held[6]
if state == 'assigned' and keepalive > 0 then
  local now = now_ms()
  local received = redis.call('HMGET', receiving, 'since', 'at')
  local since, at = tonumber(received[1] or '0'), tonumber(received[2] or '0')
  local last = math.max(tonumber(held[3] or '0'), tonumber(held[4] or '0'), since)
  if since > 0 and math.abs(now - at) <= longest and last + keepalive <= now then
    redis.call('HSET', session, 'state', 'ending', 'reason', reason)
    if user_sessions then
      redis.call('ZREM', user_sessions, id)
    end
    emit(events, 'ending', id, pool, 'reason', reason)
  end
end
return redis.call('HGETALL', session)
