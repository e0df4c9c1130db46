-- Reads the time of the server that has the store's keys; in a Redis Cluster any node answers TIME.
--
-- KEYS  1 any key of the store
--
-- Returns the time in microseconds since 1970, as a text.
local t = redis.call('TIME')
return string.format('%d%06d', t[1], t[2])
