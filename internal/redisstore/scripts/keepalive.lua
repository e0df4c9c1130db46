-- Records that a session's user is still there. The state stays.
--
-- KEYS  1 session hash
--
-- Returns {"assigned", field, value, ...} with the whole hash; {state} if that state forbids
-- it; {""} if Redis does not have the session.
local session = KEYS[1]

local state = redis.call('HGET', session, 'state')
if state ~= 'assigned' then
  return { state or '' }
end
redis.call('HSET', session, 'keepalive_at', now_ms())
local reply = redis.call('HGETALL', session)
table.insert(reply, 1, 'assigned')
return reply
