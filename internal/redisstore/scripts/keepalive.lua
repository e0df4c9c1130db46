-- Notes that a session's user is still there. The state stays.
--
-- KEYS  1 session hash
--
-- Gives {"assigned", every field and value of the hash}; {state} that forbids it, {""} when it is not known.
local state = redis.call('HGET', KEYS[1], 'state')
if state ~= 'assigned' then
  return { state or '' }
end
local t = redis.call('TIME')
redis.call('HSET', KEYS[1], 'keepalive_at', t[1] * 1000 + math.floor(t[2] / 1000))
local reply = redis.call('HGETALL', KEYS[1])
table.insert(reply, 1, 'assigned')
return reply
