-- Makes a session claimable: pending | starting -> ready. It also puts back a ready session
-- that Redis has lost.
--
-- KEYS  1 session hash  2 pool set  3 session index  4 events  5 ready queue  6 claim
-- ARGV  1 id  2 facts  3 created (ms)  4 pool  5 image  6 zone  7 permissions
--       8 prefix of the pool's activity counters  9 life of a counter (ms)
--       10 "1" to put it behind all that are not demoted, "" otherwise
--
-- Returns "ready", or the state that forbids it ("claimed" if only the claim is left).
local session, pool_set, index, events, ready, claim = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local id, facts, created, pool, image, zone, permissions = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local counters, counter_life, demoted = ARGV[8], ARGV[9], ARGV[10] ~= ''

local state = redis.call('HGET', session, 'state')
if state and state ~= 'pending' and state ~= 'starting' and state ~= 'ready' then
  return state
end
if redis.call('EXISTS', claim) == 1 then
  return 'claimed'
end
redis.call('HSET', session, 'state', 'ready', 'facts', facts, 'pool', pool, 'image', image, 'zone', zone, 'permits', permissions)
redis.call('SADD', pool_set, id)
redis.call('ZADD', index, created, id)
redis.call('ZADD', ready, rankOf(created, demoted), id)
if demoted then
  redis.call('HSET', session, 'demoted', '1')
else
  redis.call('HDEL', session, 'demoted')
end
if state ~= 'ready' then
  local now = now_ms()
  if redis.call('HEXISTS', session, 'ready_at') == 0 then
    countReady(counters, counter_life, now, math.max(0, now - tonumber(created)))
  end
  redis.call('HSET', session, 'ready_at', now)
  emit(events, 'ready', id, pool, about(session))
end
return 'ready'
