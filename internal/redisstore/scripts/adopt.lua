-- Reserves an Idempotency-Key for a session that the launch's user already has.
--
-- KEYS  1 idempotency key
-- ARGV  1 claim  2 launch fingerprint  3 lease of the key (ms)  4 session id
--
-- Returns {"adopted"}, or {"repeat", session, done} or {"reused"} as heldKey returns them.
local key = KEYS[1]
local claim, fingerprint, key_lease, id = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local refusal = heldKey(key, claim, fingerprint)
if refusal then
  return refusal
end
reserveKey(key, claim, fingerprint, key_lease, id)
return { 'adopted' }
