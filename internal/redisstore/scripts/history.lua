-- Records a pool's numbers for its history: one hash per hour, with some fields per minute.
-- ready keeps the lowest value seen in the minute, wanted, expected, low and high the last one.
-- claims, misses, made and made_ms are copied from the counters, for this minute and for the
-- one before, which may have grown since.
--
-- KEYS  1 ready queue
-- ARGV  1 prefix of the pool's history  2 prefix of the pool's activity counters
--       3 life of an hour of history (ms)  4 wanted  5 expected  6 low  7 high ("" where not known)
--
-- Returns 1.
local ready_queue = KEYS[1]
local history_prefix, pool_counters, history_life = ARGV[1], ARGV[2], ARGV[3]
local noted = { wanted = ARGV[4], expected = ARGV[5], low = ARGV[6], high = ARGV[7] }

local this_minute = math.floor(now_ms() / 60000)
for minute = this_minute - 1, this_minute do
  local history = history_prefix .. math.floor(minute / 60)
  local m = minute % 60
  if minute == this_minute then
    local lowest, ready = redis.call('HGET', history, m .. ':ready'), redis.call('ZCARD', ready_queue)
    if not lowest or ready < tonumber(lowest) then
      redis.call('HSET', history, m .. ':ready', ready)
    end
    for name, value in pairs(noted) do
      if value ~= '' then
        redis.call('HSET', history, m .. ':' .. name, value)
      end
    end
  end
  local counted = redis.call('HMGET', pool_counters .. minute, 'given', 'missed', 'ready', 'ready_ms')
  for i, name in ipairs({ 'claims', 'misses', 'made', 'made_ms' }) do
    if counted[i] then
      redis.call('HSET', history, m .. ':' .. name, counted[i])
    end
  end
  redis.call('PEXPIRE', history, history_life)
end
return 1
