-- Frees an Idempotency-Key whose launch failed, so that a repeat may try again.
--
-- KEYS  1 idempotency key
-- ARGV  1 claim  2 session that the key must still name, "" for any
--
-- Returns 1 if the key was freed; 0 if another claim holds it, it names another session, or
-- its launch is done.
local key = KEYS[1]
local claim, id = ARGV[1], ARGV[2]

local held = redis.call('HMGET', key, 'claim', 'done', 'session')
local holder, done, session = held[1], held[2], held[3]
if holder ~= claim or done or (id ~= '' and session ~= id) then
  return 0
end
return redis.call('DEL', key)
