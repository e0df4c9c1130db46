-- Marks a session as ended, because nothing of it runs any more: any state -> ended. Its
-- hash stays readable for a while.
--
-- KEYS  1 session hash  2 pool set  3 ready queue  4 session index  5 events  6 claim
-- ARGV  1 id  2 pool  3 reason, used if the session has none yet  4 life of the hash (ms)
--
-- Returns "ended"; "" if Redis does not have the session.
local session, pool_set, ready, index, events, claim = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local id, pool, default_reason, life = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local held = redis.call('HMGET', session, 'state', 'reason', 'user_key')
local state, reason, user_sessions = held[1], held[2], held[3]
redis.call('ZREM', ready, id)
redis.call('SREM', pool_set, id)
redis.call('ZREM', index, id)
if not state then
  return ''
end
if user_sessions then
  redis.call('ZREM', user_sessions, id)
end
if state ~= 'ended' then
  reason = reason or default_reason
  redis.call('HSET', session, 'state', 'ended', 'reason', reason, 'ended_at', now_ms())
  emit(events, 'ended', id, pool, 'reason', reason)
  redis.call('PEXPIRE', session, life)
  redis.call('PEXPIRE', claim, life)
end
return 'ended'
