-- Finds the oldest session of a pool that is not ready.
--
-- KEYS  1 pool set  2 ready queue  3 session index
--
-- Returns when it was created (ms); 0 if all are ready.
local pool_set, queue, index = KEYS[1], KEYS[2], KEYS[3]

local oldest = 0
for _, id in ipairs(redis.call('ZDIFF', 2, pool_set, queue)) do
  local created = tonumber(redis.call('ZSCORE', index, id) or '0')
  if created > 0 and (oldest == 0 or created < oldest) then
    oldest = created
  end
end
return oldest
