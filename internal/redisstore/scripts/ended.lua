-- Marks a session as ended, because nothing of it runs any more: any state -> ended. Its
-- hash stays readable for a while, and is in the index of ended sessions as long, unless too
-- many ended after it.
--
-- KEYS  1 session hash  2 pool set  3 ready queue  4 session index  5 events  6 claim  7 index of ended sessions
-- ARGV  1 id  2 pool  3 reason, used if the session has none yet  4 life of the hash (ms)
--       5 most sessions in the index of ended ones
--
-- Returns "ended"; "" if Redis does not have the session.
local session, pool_set, ready, index, events, claim, ended = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local id, pool, default_reason, life, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])

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
  local now = now_ms()
  redis.call('HSET', session, 'state', 'ended', 'reason', reason, 'ended_at', now)
  emit(events, 'ended', id, pool, 'reason', reason, about(session))
  redis.call('PEXPIRE', session, life)
  redis.call('PEXPIRE', claim, life)
  redis.call('ZADD', ended, now, id)
  redis.call('ZREMRANGEBYSCORE', ended, '-inf', now - life)
  redis.call('ZREMRANGEBYRANK', ended, 0, -1 - most)
  redis.call('PEXPIRE', ended, life)
end
return 'ended'
