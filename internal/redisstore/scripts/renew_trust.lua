-- Notes that what Redis says of a zone is true now, by the word of the zone's scaler,
-- which has held it against Nomad, Consul's health and the fate records. The mark that
-- the scaler left last must be there still: where it is not, Redis has lost or undone
-- something since.
--
-- KEYS  1 the zone's mark
-- ARGV  1 mark that must be there  2 new mark  3 how old that one may be (ms), "" for any age
--
-- Gives 1 when it is noted, 0 when another mark is there, or it is too old.
local last = redis.call('HMGET', KEYS[1], 'mark', 'at')
if last[1] ~= ARGV[1] then
  return 0
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if ARGV[3] ~= '' and math.abs(now - tonumber(last[2] or 0)) > tonumber(ARGV[3]) then
  return 0
end
redis.call('HSET', KEYS[1], 'mark', ARGV[2], 'at', now)
return 1
