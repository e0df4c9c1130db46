-- Records that a session's user is still there, and the first time that it is so. The state stays.
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
used(session)
local reply = redis.call('HGETALL', session)
table.insert(reply, 1, 'assigned')
return reply
