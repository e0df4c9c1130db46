-- Records a pool's numbers for its history: one hash per hour, with up to three fields per
-- minute. ready keeps the lowest value seen in the minute. claims and misses are copied
-- from the counters, for this minute and for the one before, which may have grown since.
--
-- KEYS  1 ready queue
-- ARGV  1 prefix of the pool's history  2 prefix of the pool's activity counters
--       3 prefix of the activity counters of on-demand sessions  4 life of an hour of history (ms)
--
-- Returns 1.
local ready_queue = KEYS[1]
local history_prefix, pool_counters, demand_counters, history_life = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local this_minute = math.floor(now_ms() / 60000)
for minute = this_minute - 1, this_minute do
  local history = history_prefix .. math.floor(minute / 60)
  local m = minute % 60
  if minute == this_minute then
    local lowest, ready = redis.call('HGET', history, m .. ':ready'), redis.call('ZCARD', ready_queue)
    if not lowest or ready < tonumber(lowest) then
      redis.call('HSET', history, m .. ':ready', ready)
    end
  end
  local claims, misses = redis.call('HGET', pool_counters .. minute, 'given'), redis.call('HGET', demand_counters .. minute, 'given')
  if claims then
    redis.call('HSET', history, m .. ':claims', claims)
  end
  if misses then
    redis.call('HSET', history, m .. ':misses', misses)
  end
  redis.call('PEXPIRE', history, history_life)
end
return 1
