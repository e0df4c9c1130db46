-- Renews trust in what Redis holds for a zone. The zone's scaler calls it after it has
-- compared Redis with Nomad, Consul's health and the fate records. The scaler's last marker
-- must still be there, placed on this server. If it is not, Redis has lost or undone writes
-- since, or this server may lack some: it was a replica, or started again.
--
-- KEYS  1 the zone's trust hash
-- ARGV  1 marker that must be there  2 new marker  3 greatest age of the old marker (ms), "" for any age
--       4 restore of Consul that the scaler knows of: the generation through which it lost records
--
-- Returns 1 if trust was renewed, 0 if another marker is there, the old one is too old, or it
-- was placed on another server.
local trust = KEYS[1]
local old_marker, new_marker, max_age, restored = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local last = redis.call('HMGET', trust, 'mark', 'at', 'run')
local marker, renewed_at, run = last[1], tonumber(last[2] or 0), last[3]
if marker ~= old_marker or run ~= server_run() then
  return 0
end
local now = now_ms()
if max_age ~= '' and math.abs(now - renewed_at) > tonumber(max_age) then
  return 0
end
redis.call('HSET', trust, 'mark', new_marker, 'at', now, 'restored', restored)
return 1
