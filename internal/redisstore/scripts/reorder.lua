-- Moves a session behind all that are not demoted, or back to its place by age. A session
-- that is not ready only keeps the mark: if its claim is undone, it takes its place then.
--
-- KEYS  1 session hash  2 ready queue  3 session index
-- ARGV  1 id  2 "1" to demote it, "" to undo that
--
-- Returns the session's state, which does not change; "" if Redis does not have it.
local session, queue, index = KEYS[1], KEYS[2], KEYS[3]
local id, demoted = ARGV[1], ARGV[2] ~= ''

local state = redis.call('HGET', session, 'state')
if not state then
  return ''
end
if demoted then
  redis.call('HSET', session, 'demoted', '1')
else
  redis.call('HDEL', session, 'demoted')
end
local created = redis.call('ZSCORE', index, id)
if state == 'ready' and created then
  redis.call('ZADD', queue, 'XX', rankOf(created, demoted), id)
end
return state
