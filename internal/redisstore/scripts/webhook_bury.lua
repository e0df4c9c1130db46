-- Makes a pending message a dead letter. The oldest dead letters make room, and are counted.
--
-- KEYS  1 pending messages  2 dead letters  3 tries  4 state of the webhook
-- ARGV  1 position of the message  2 its tries in JSON  3 most dead letters
--
-- Returns how many dead letters were dropped.
local pending, dead, tries, state = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local position, tried, most = ARGV[1], ARGV[2], tonumber(ARGV[3])

local message = redis.call('XRANGE', pending, position, position)[1]
if not message then
  return 0
end
redis.call('XADD', dead, '*', 'event', message[2][2], 'tries', tried)
redis.call('XDEL', pending, position)
redis.call('HDEL', tries, position)
local dropped = redis.call('XTRIM', dead, 'MAXLEN', '=', most)
if dropped > 0 then
  redis.call('HINCRBY', state, 'dropped', dropped)
end
return dropped
