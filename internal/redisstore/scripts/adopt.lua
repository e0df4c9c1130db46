-- Reserves an Idempotency-Key for a session that the launch's user has already.
--
-- KEYS  1 idempotency key
-- ARGV  1 claim  2 launch fingerprint  3 lease of the key (ms)  4 session
--
-- Gives {"adopted"}, or {"repeat", session, done} or {"reused"} as claim.lua does.
local refusal = heldKey(KEYS[1], ARGV[1], ARGV[2])
if refusal then
  return refusal
end
reserveKey(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4])
return { 'adopted' }
