-- Moves a webhook's cursor over events, and queues those of them that the webhook sends. Both
-- are one step, so that no event is left out, and none is queued twice.
--
-- KEYS  1 cursors  2 pending messages
-- ARGV  1 name  2 where the cursor must be  3 where it goes  4 most messages that may be pending
--       5... events in JSON
--
-- Returns "taken"; "full": more would be pending than may be; "moved": the cursor is elsewhere,
-- because another sender took the events, or Redis lost its data.
local cursors, pending = KEYS[1], KEYS[2]
local name, from, to, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

if redis.call('HGET', cursors, name) ~= from then
  return 'moved'
end
local more = #ARGV - 4
if more > 0 and redis.call('XLEN', pending) + more > most then
  return 'full'
end
for i = 5, #ARGV do
  redis.call('XADD', pending, '*', 'event', ARGV[i])
end
redis.call('HSET', cursors, name, to)
return 'taken'
