-- Makes dead letters pending again, behind what is pending.
--
-- KEYS  1 pending messages  2 dead letters
-- ARGV  1 up to which position  2... positions; none for the oldest 200 up to that
--
-- Returns how many were moved.
local pending, dead = KEYS[1], KEYS[2]
local last = ARGV[1]

local letters = {}
if #ARGV == 1 then
  letters = redis.call('XRANGE', dead, '-', last, 'COUNT', 200)
end
for i = 2, #ARGV do
  local found = redis.call('XRANGE', dead, ARGV[i], ARGV[i])[1]
  if found then
    table.insert(letters, found)
  end
end
for _, letter in ipairs(letters) do
  redis.call('XADD', pending, '*', 'event', letter[2][2])
  redis.call('XDEL', dead, letter[1])
end
return #letters
