-- Notes an on-demand session, born with its user, and reserves the launch's
-- Idempotency-Key for it in the same step.
--
-- KEYS  1 session hash  2 session index  3 events  4 idempotency key (unused when ARGV[6] is "")  5 claim
-- ARGV  1 id  2 claim  3 user (JSON)  4 facts  5 created (ms)  6 launch fingerprint, "" without a key  7 lease of the key (ms)
--
-- Gives {"begun"}, or {"repeat", session, done} or {"reused"} as claim.lua does.
if ARGV[6] ~= '' then
  local held = redis.call('HMGET', KEYS[4], 'claim', 'launch', 'session', 'done')
  if held[1] and held[1] ~= ARGV[2] then
    if held[2] ~= ARGV[6] then
      return { 'reused' }
    end
    return { 'repeat', held[3] or '', held[4] or '' }
  end
  redis.call('HSET', KEYS[4], 'claim', ARGV[2], 'launch', ARGV[6], 'session', ARGV[1])
  redis.call('PEXPIRE', KEYS[4], ARGV[7])
end
redis.call('SET', KEYS[5], ARGV[2])
redis.call('HSET', KEYS[1], 'state', 'pending', 'claim', ARGV[2], 'user', ARGV[3], 'facts', ARGV[4], 'pool', '')
if ARGV[6] ~= '' then
  redis.call('HSET', KEYS[1], 'key', KEYS[4])
end
redis.call('ZADD', KEYS[2], ARGV[5], ARGV[1])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', 10000, '*', 'type', 'pending', 'session', ARGV[1], 'pool', '')
return { 'begun' }
