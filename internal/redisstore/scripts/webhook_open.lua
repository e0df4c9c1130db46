-- Returns up to where a webhook has taken the events. One that is new begins at the newest.
--
-- KEYS  1 events  2 cursors
-- ARGV  1 name of the webhook
--
-- Returns the position.
local events, cursors = KEYS[1], KEYS[2]
local name = ARGV[1]

local position = redis.call('HGET', cursors, name)
if position then
  return position
end
local newest = redis.call('XREVRANGE', events, '+', '-', 'COUNT', 1)[1]
position = newest and newest[1] or '0-0'
redis.call('HSET', cursors, name, position)
return position
