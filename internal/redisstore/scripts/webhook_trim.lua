-- Trims the events to the newest, unless a webhook has still to take older ones.
--
-- KEYS  1 events  2 cursors
-- ARGV  1 how many to keep  2 how many a webhook may be behind, fewer than that
--
-- Returns how many were removed.
local events, cursors = KEYS[1], KEYS[2]
local keep, behind = tonumber(ARGV[1]), tonumber(ARGV[2])

for _, position in ipairs(redis.call('HVALS', cursors)) do
  if #redis.call('XRANGE', events, '(' .. position, '+', 'COUNT', behind) == behind then
    return 0
  end
end
return redis.call('XTRIM', events, 'MAXLEN', '~', keep)
