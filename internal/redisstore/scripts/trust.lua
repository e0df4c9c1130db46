-- trusts reports whether a scaler has renewed its trust in this copy of Redis within the TTL (ms),
-- and knew of a restore of Consul.
local function trusts(trust, ttl, restored)
  local last = redis.call('HMGET', trust, 'at', 'restored')
  return last[1] and math.abs(now_ms() - tonumber(last[1])) <= tonumber(ttl) and tonumber(last[2] or 0) >= tonumber(restored)
end
