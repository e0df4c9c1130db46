-- Reports whether a scaler has renewed its trust for a zone within its TTL, on this server.
-- A scaler of a release before this field noted no server.
--
-- KEYS  1 the zone's trust hash
-- ARGV  1 TTL of a scaler's trust (ms)  2 restore of Consul that the scaler must have known of
--
-- Returns "trusted"; "elsewhere" if a scaler placed its marker on another server; "expired" if
-- none renewed its trust within its TTL; "behind" if it did not know of the restore.
local trust = KEYS[1]
local run = redis.call('HGET', trust, 'run')
if run and run ~= server_run() then
  return 'elsewhere'
end
return trustOf(trust, ARGV[1], ARGV[2])
