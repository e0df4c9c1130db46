-- Notes what an on-demand session that is not placed waits for. The state stays pending.
--
-- KEYS  1 session hash  2 events
-- ARGV  1 id  2 reason
--
-- Returns "pending", or the state that forbids it; "" if Redis does not have the session.
local session, events = KEYS[1], KEYS[2]
local id, reason = ARGV[1], ARGV[2]

local held = redis.call('HMGET', session, 'state', 'pool', 'reason')
local state, pool, noted = held[1], held[2], held[3]
if not state then
  return ''
end
if state ~= 'pending' or pool ~= '' or noted == reason then
  return state
end
redis.call('HSET', session, 'reason', reason)
emit(events, 'waiting_for_room', id, '', 'reason', reason, about(session))
return 'pending'
