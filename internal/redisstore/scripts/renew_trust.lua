-- Renews trust in what Redis holds for a zone. The zone's scaler calls it after it has
-- compared Redis with Nomad, Consul's health and the fate records. The scaler's last marker
-- must still be there. If it is not, Redis has lost or undone writes since.
--
-- KEYS  1 the zone's trust hash
-- ARGV  1 marker that must be there  2 new marker  3 greatest age of the old marker (ms), "" for any age
--
-- Returns 1 if trust was renewed, 0 if another marker is there or the old one is too old.
local trust = KEYS[1]
local old_marker, new_marker, max_age = ARGV[1], ARGV[2], ARGV[3]

local last = redis.call('HMGET', trust, 'mark', 'at')
local marker, renewed_at = last[1], tonumber(last[2] or 0)
if marker ~= old_marker then
  return 0
end
local now = now_ms()
if max_age ~= '' and math.abs(now - renewed_at) > tonumber(max_age) then
  return 0
end
redis.call('HSET', trust, 'mark', new_marker, 'at', now)
return 1
