-- Makes a session claimable: pending | starting -> ready, or anew after Redis was lost.
--
-- KEYS  1 session hash  2 pool set  3 session index  4 events  5 ready queue  6 claim
-- ARGV  1 id  2 facts  3 created (ms)  4 pool  5 image  6 zone  7 permissions
--       8 prefix of the pool's counters  9 life of a counter (ms)
--
-- Gives "ready", or the state that forbids it ("claimed" where only the claim is left).
local state = redis.call('HGET', KEYS[1], 'state')
if state and state ~= 'pending' and state ~= 'starting' and state ~= 'ready' then
  return state
end
if redis.call('EXISTS', KEYS[6]) == 1 then
  return 'claimed'
end
redis.call('HSET', KEYS[1], 'state', 'ready', 'facts', ARGV[2], 'pool', ARGV[4], 'image', ARGV[5], 'zone', ARGV[6], 'permits', ARGV[7])
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1])
redis.call('ZADD', KEYS[5], ARGV[3], ARGV[1])
if state ~= 'ready' then
  local t = redis.call('TIME')
  local now = t[1] * 1000 + math.floor(t[2] / 1000)
  if redis.call('HEXISTS', KEYS[1], 'ready_at') == 0 then
    countReady(ARGV[8], ARGV[9], now, math.max(0, now - tonumber(ARGV[3])))
  end
  redis.call('HSET', KEYS[1], 'ready_at', now)
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', 10000, '*', 'type', 'ready', 'session', ARGV[1], 'pool', ARGV[4])
end
return 'ready'
