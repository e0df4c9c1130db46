-- trustOf returns what a zone's scaler says of this copy of Redis: "trusted" if it has renewed its
-- trust within the TTL (ms), and knew of a restore of Consul; "behind" if it lacks that alone; else
-- "expired".
local function trustOf(trust, ttl, restored)
  local last = redis.call('HMGET', trust, 'at', 'restored')
  if not last[1] or math.abs(now_ms() - tonumber(last[1])) > tonumber(ttl) then
    return 'expired'
  end
  return tonumber(last[2] or 0) < tonumber(restored) and 'behind' or 'trusted'
end
