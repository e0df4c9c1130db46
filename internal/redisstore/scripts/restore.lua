-- Restores a session that its fate record assigns to a user, and that Redis has lost or
-- still holds as unused.
--
-- KEYS  1 session hash  2 pool set  3 ready queue  4 session index  5 events  6 claim  7 the user's sessions
--       8 idempotency key (unused if ARGV[11] is "")
-- ARGV  1 id  2 pool  3 state (claimed, assigned; starting for an on-demand session that is not up)
--       4 claim  5 user (JSON)  6 facts  7 created (ms)  8 assigned (ms)
--       9 terms (JSON)  10 keepalive (ms), 0 for none  11 launch fingerprint, "" without a key
--       12 "1" if the launch is done, "" otherwise  13 life of the key (ms)
--       14 ids of all the launch's sessions if it has several, "" otherwise
--
-- Returns the session's state after the script.
local session, pool_set, ready, index, events, claim_key, user_sessions, key =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local id, pool, new_state, claim, user, facts, created, assigned_at =
  ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local terms, keepalive_ms, fingerprint, done, key_life, ids =
  ARGV[9], ARGV[10], ARGV[11], ARGV[12], ARGV[13], ARGV[14]

local held = redis.call('HMGET', session, 'state', 'claim', 'user_key')
local state, holder, old_user_sessions = held[1], held[2], held[3]
if state and holder == claim then
  return state
end
if state == 'ended' or state == 'ending' then
  return state
end
redis.call('ZREM', ready, id)
if old_user_sessions and old_user_sessions ~= user_sessions then
  redis.call('ZREM', old_user_sessions, id) -- the fate record says that it never was that user's
end
redis.call('SREM', pool_set, id)
redis.call('ZADD', index, created, id)
redis.call('SET', claim_key, claim)
redis.call('ZADD', user_sessions, created, id)
redis.call('HDEL', session, 'reason', 'unvisited_since')
-- Keepalives that came while Redis was lost are unknown, so the keepalive period starts again. So are
-- visits: the session does not count as unvisited.
redis.call('HSET', session, 'terms', terms, 'keepalive_ms', keepalive_ms, 'user_key', user_sessions, 'keepalive_at', now_ms())
redis.call('HSET', session, 'state', new_state, 'claim', claim, 'user', user, 'facts', facts, 'pool', pool, 'assigned_at', assigned_at)
-- The launch holds its key again, unless another claim has taken the key since.
if fingerprint ~= '' then
  local key_holder = redis.call('HGET', key, 'claim')
  if not key_holder or key_holder == claim then
    redis.call('HSET', key, 'claim', claim, 'launch', fingerprint, 'session', id)
    if ids ~= '' then
      redis.call('HSET', key, 'sessions', ids)
    end
    if done ~= '' then
      redis.call('HSET', key, 'done', '1')
    end
    redis.call('PEXPIRE', key, key_life)
    redis.call('HSET', session, 'key', key)
  end
end
emit(events, new_state, id, pool, about(session))
return new_state
