-- Puts a claimed session back into its pool: claimed -> ready. Only for a session of which
-- no fate record was written, nor will be by this claim: nothing of a user's was sent to it.
--
-- KEYS  1 session hash  2 pool set  3 ready queue  4 session index  5 events  6 claim of the session
-- ARGV  1 id  2 claim that must hold it  3 pool
--
-- Returns "ready", or the state that forbids it; "fenced" when another claim holds it, ""
-- when the session is not known.
local session, pool_set, queue, index, events, session_claim = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local id, claim, pool = ARGV[1], ARGV[2], ARGV[3]

local held = redis.call('HMGET', session, 'state', 'claim', 'user_key', 'demoted')
local state, user_sessions = held[1], held[3]
if not state then
  return ''
end
if held[2] ~= claim or redis.call('GET', session_claim) ~= claim then
  return 'fenced'
end
local created = redis.call('ZSCORE', index, id)
if state ~= 'claimed' or not created then
  return state
end
redis.call('DEL', session_claim)
redis.call('HDEL', session, 'claim', 'user', 'terms', 'keepalive_ms', 'user_key', 'key', 'unvisited_since')
redis.call('HSET', session, 'state', 'ready')
if user_sessions then
  redis.call('ZREM', user_sessions, id)
end
redis.call('SADD', pool_set, id)
redis.call('ZADD', queue, rankOf(created, held[4]), id)
emit(events, 'ready', id, pool, about(session))
return 'ready'
