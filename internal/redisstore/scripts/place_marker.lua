-- Places the scaler's marker of a zone. It does not renew trust, and ends it where the last marker
-- was placed on another server: this one was a replica or a copy of that, and may lack its newest
-- writes. A scaler of a release before this field noted no server.
--
-- KEYS  1 the zone's trust hash
-- ARGV  1 marker
--
-- Returns 1.
local trust = KEYS[1]
local marker = ARGV[1]

local run, before = server_run(), redis.call('HGET', trust, 'run')
if before and before ~= run then
  redis.call('HDEL', trust, 'at')
end
redis.call('HSET', trust, 'mark', marker, 'run', run)
return 1
