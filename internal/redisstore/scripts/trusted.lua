-- Reports whether a scaler has renewed its trust for a zone within its TTL, on this server.
-- A scaler of a release before this field noted no server.
--
-- KEYS  1 the zone's trust hash
-- ARGV  1 TTL of a scaler's trust (ms)  2 restore of Consul that the scaler must have known of
--
-- Returns "trusted"; "elsewhere" if a scaler placed its marker on another server; "expired" if
-- none renewed its trust within its TTL, and knew of the restore.
local trust = KEYS[1]
local ttl = tonumber(ARGV[1])

local last = redis.call('HMGET', trust, 'at', 'run', 'restored')
local at, run, restored = tonumber(last[1] or 0), last[2], tonumber(last[3] or 0)
if run and run ~= server_run() then
  return 'elsewhere'
end
if math.abs(now_ms() - at) > ttl or restored < tonumber(ARGV[2]) then
  return 'expired'
end
return 'trusted'
