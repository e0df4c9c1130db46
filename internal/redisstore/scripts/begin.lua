-- Records an on-demand session, born with its user, and reserves the launch's
-- Idempotency-Key for it in the same step, if the user may have one more.
--
-- KEYS  1 session hash  2 session index  3 events  4 idempotency key (unused when the fingerprint is "")
--       5 claim of the session  6 the user's sessions
-- ARGV  1 id  2 claim  3 user (JSON)  4 facts  5 created (ms)  6 launch fingerprint, "" without a key  7 lease of the key (ms)
--       8 prefix  9 terms (JSON)  10 keepalive (ms), 0 for none  11 most sessions of the user, 0 for no limit
--       12 the launch's request id, kept with the event, "" for none
--       13 image  14 most sessions of the image of the user, 0 for no limit
--
-- Returns {"begun"}, or {"repeat", session, done}, {"reused"}, {"limit", id, ...} or {"image_limit", id, ...} as heldKey and overLimit return them.
local session, index, events, key, session_claim, user_sessions = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local id, claim, user, facts, created, fingerprint, key_lease = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local prefix, terms, keepalive_ms, most, request_id = ARGV[8], ARGV[9], ARGV[10], ARGV[11], ARGV[12]
local image, most_of_image = ARGV[13], ARGV[14]

local keyed = fingerprint ~= ''
local refusal = (keyed and heldKey(key, claim, fingerprint)) or overLimit(prefix, user_sessions, claim, keyed and key, most, 1, image, most_of_image)
if refusal then
  return refusal
end
if keyed then
  reserveKey(key, claim, fingerprint, key_lease, id)
end
redis.call('SET', session_claim, claim)
redis.call('HSET', session, 'state', 'pending', 'claim', claim, 'user', user, 'facts', facts, 'pool', '',
  'terms', terms, 'keepalive_ms', keepalive_ms, 'user_key', user_sessions, 'unvisited_since', now_ms())
if keyed then
  redis.call('HSET', session, 'key', key)
end
redis.call('ZADD', index, created, id)
redis.call('ZADD', user_sessions, created, id)
emit(events, 'pending', id, '', 'request_id', request_id, about(session))
return { 'begun' }
