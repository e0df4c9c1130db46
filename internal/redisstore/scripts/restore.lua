-- Puts back a session that is a user's by its fate record and that Redis has
-- lost, or still believes unused.
--
-- KEYS  1 session hash  2 pool set  3 ready queue  4 session index  5 events  6 claim  7 the user's sessions
--       8 idempotency key (unused when ARGV[11] is "")
-- ARGV  1 id  2 pool  3 state (claimed, assigned; starting for an on-demand session that is not up)  4 claim  5 user (JSON)  6 facts  7 created (ms)  8 assigned (ms)
--       9 terms (JSON)  10 keepalive (ms), 0 for none  11 launch fingerprint, "" without a key  12 "1" when the launch is done
--       13 life of the key (ms)  14 the ids of all of the launch's sessions where they are several, else ""
--
-- Gives the state that the session now has.
local held = redis.call('HMGET', KEYS[1], 'state', 'claim', 'user_key')
local state = held[1]
if state and held[2] == ARGV[4] then
  return state
end
if state == 'ended' or state == 'ending' then
  return state
end
redis.call('ZREM', KEYS[3], ARGV[1])
if held[3] and held[3] ~= KEYS[7] then
  redis.call('ZREM', held[3], ARGV[1]) -- it is not, and never was, that user's
end
redis.call('SREM', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[4], ARGV[7], ARGV[1])
redis.call('SET', KEYS[6], ARGV[4])
redis.call('ZADD', KEYS[7], ARGV[7], ARGV[1])
redis.call('HDEL', KEYS[1], 'reason')
-- Keepalives that came while Redis was lost are not known: the time begins anew.
local t = redis.call('TIME')
redis.call('HSET', KEYS[1], 'terms', ARGV[9], 'keepalive_ms', ARGV[10], 'user_key', KEYS[7],
  'keepalive_at', t[1] * 1000 + math.floor(t[2] / 1000))
redis.call('HSET', KEYS[1], 'state', ARGV[3], 'claim', ARGV[4], 'user', ARGV[5], 'facts', ARGV[6], 'pool', ARGV[2], 'assigned_at', ARGV[8])
-- The launch answers for its key again, unless another one holds it by now.
if ARGV[11] ~= '' then
  local holder = redis.call('HGET', KEYS[8], 'claim')
  if not holder or holder == ARGV[4] then
    redis.call('HSET', KEYS[8], 'claim', ARGV[4], 'launch', ARGV[11], 'session', ARGV[1])
    if ARGV[14] ~= '' then
      redis.call('HSET', KEYS[8], 'sessions', ARGV[14])
    end
    if ARGV[12] ~= '' then
      redis.call('HSET', KEYS[8], 'done', '1')
    end
    redis.call('PEXPIRE', KEYS[8], ARGV[13])
    redis.call('HSET', KEYS[1], 'key', KEYS[8])
  end
end
redis.call('XADD', KEYS[5], 'MAXLEN', '~', 10000, '*', 'type', ARGV[3], 'session', ARGV[1], 'pool', ARGV[2])
return ARGV[3]
