-- Notes that what Redis says of a zone is true now, by the word of the zone's scaler,
-- which has held it against Nomad, Consul's health and the fate records. The mark that
-- the scaler left last must be there still: where it is not, Redis has lost or undone
-- something since.
--
-- KEYS  1 the zone's mark
-- ARGV  1 mark that must be there, "" for none  2 new mark
--
-- Gives 1 when it is noted, 0 when another mark is there.
if (redis.call('HGET', KEYS[1], 'mark') or '') ~= ARGV[1] then
  return 0
end
local t = redis.call('TIME')
redis.call('HSET', KEYS[1], 'mark', ARGV[2], 'at', t[1] * 1000 + math.floor(t[2] / 1000))
return 1
