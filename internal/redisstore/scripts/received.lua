-- received returns since when uses of sessions are received without a gap (ms), by brokers and by
-- gateways, and Redis's time; nil while they are not. An installation without gateways has no hash
-- of theirs. longest is the longest time between two records without a gap (ms).
local function received(brokers, gateways, longest)
  local now, since = now_ms(), 0
  for _, key in ipairs({ brokers, gateways }) do
    local held = redis.call('HMGET', key, 'since', 'at')
    local from, at = tonumber(held[1] or '0'), tonumber(held[2] or '0')
    if from == 0 and key == brokers or from > 0 and math.abs(now - at) > longest then
      return nil
    end
    since = math.max(since, from)
  end
  return since, now
end
