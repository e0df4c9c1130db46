-- Notes an on-demand session, born with its user, and reserves the launch's
-- Idempotency-Key for it in the same step, if the user may have one more.
--
-- KEYS  1 session hash  2 session index  3 events  4 idempotency key (unused when ARGV[6] is "")  5 claim  6 the user's sessions
-- ARGV  1 id  2 claim  3 user (JSON)  4 facts  5 created (ms)  6 launch fingerprint, "" without a key  7 lease of the key (ms)
--       8 prefix  9 terms (JSON)  10 keepalive (ms), 0 for none  11 most sessions of the user, 0 for no limit
--       12 the launch's request id, kept with the event, "" for none
--
-- Gives {"begun"}, or {"repeat", session, done}, {"reused"} or {"limit", ...} as claim.lua does.
local keyed = ARGV[6] ~= ''
local refusal = (keyed and heldKey(KEYS[4], ARGV[2], ARGV[6])) or overLimit(ARGV[8], KEYS[6], ARGV[2], ARGV[11])
if refusal then
  return refusal
end
if keyed then
  reserveKey(KEYS[4], ARGV[2], ARGV[6], ARGV[7], ARGV[1])
end
redis.call('SET', KEYS[5], ARGV[2])
redis.call('HSET', KEYS[1], 'state', 'pending', 'claim', ARGV[2], 'user', ARGV[3], 'facts', ARGV[4], 'pool', '',
  'terms', ARGV[9], 'keepalive_ms', ARGV[10], 'user_key', KEYS[6])
if keyed then
  redis.call('HSET', KEYS[1], 'key', KEYS[4])
end
redis.call('ZADD', KEYS[2], ARGV[5], ARGV[1])
redis.call('ZADD', KEYS[6], ARGV[5], ARGV[1])
redis.call('XADD', KEYS[3], 'MAXLEN', '~', 10000, '*', 'type', 'pending', 'session', ARGV[1], 'pool', '', 'request_id', ARGV[12])
return { 'begun' }
