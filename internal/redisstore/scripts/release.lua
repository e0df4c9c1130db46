-- Frees an Idempotency-Key whose launch gave no session, so that a repeat may try anew.
--
-- KEYS  1 idempotency key
-- ARGV  1 claim  2 session that it must name still, "" for any
--
-- Gives 1 when it was freed, 0 when it is another claim's or session's, or bound for good.
local held = redis.call('HMGET', KEYS[1], 'claim', 'done', 'session')
if held[1] ~= ARGV[1] or held[2] or (ARGV[2] ~= '' and held[3] ~= ARGV[2]) then
  return 0
end
return redis.call('DEL', KEYS[1])
