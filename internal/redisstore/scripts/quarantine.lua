-- Quarantines a session that may be a user's, although no readable record says so:
-- pending | starting | ready | claimed -> quarantined, or a session that Redis does not have.
--
-- KEYS  1 session hash  2 pool set  3 ready queue  4 session index  5 events
-- ARGV  1 id  2 pool  3 facts  4 created (ms)  5 reason
--       6 the state of a record that cannot be read, which is then replaced; "" for a readable one
--
-- Returns "quarantined", or the state that forbids it.
local session, pool_set, ready, index, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, pool, facts, created, reason, damaged = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]

local kind = redis.call('TYPE', session).ok
if damaged ~= '' and (kind ~= 'hash' or damaged == 'unreadable' or redis.call('HGET', session, 'state') == damaged) then
  redis.call('DEL', session)
end

local held = redis.call('HMGET', session, 'state', 'user_key')
local state, user_sessions = held[1], held[2]
if state and state ~= 'pending' and state ~= 'starting' and state ~= 'ready' and state ~= 'claimed' then
  return state
end
redis.call('ZREM', ready, id)
redis.call('SREM', pool_set, id)
redis.call('ZADD', index, created, id)
if user_sessions then
  redis.call('ZREM', user_sessions, id) -- its launch did not get it
end
redis.call('HDEL', session, 'claim', 'user', 'user_key') -- a restore sets those of the fate record
redis.call('HSET', session, 'state', 'quarantined', 'facts', facts, 'pool', pool, 'reason', reason)
emit(events, 'quarantined', id, pool, 'reason', reason, about(session))
return 'quarantined'
