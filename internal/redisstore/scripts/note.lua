-- Notes how a pool stands, for its history: a hash for each hour, of which each minute has
-- up to three fields. Of a minute's ready the lowest is kept. The minute before is brought up to
-- what was counted in it since it was last noted.
--
-- KEYS  1 ready queue
-- ARGV  1 prefix of the pool's history  2 prefix of the pool's counters  3 of those of what is made on demand
--       4 life of an hour of history (ms)
local now = tonumber(redis.call('TIME')[1])
local this = math.floor(now / 60)
for minute = this - 1, this do
  local history = ARGV[1] .. math.floor(minute / 60)
  local m = minute % 60
  if minute == this then
    local known, ready = redis.call('HGET', history, m .. ':ready'), redis.call('ZCARD', KEYS[1])
    if not known or ready < tonumber(known) then
      redis.call('HSET', history, m .. ':ready', ready)
    end
  end
  local claims, misses = redis.call('HGET', ARGV[2] .. minute, 'given'), redis.call('HGET', ARGV[3] .. minute, 'given')
  if claims then
    redis.call('HSET', history, m .. ':claims', claims)
  end
  if misses then
    redis.call('HSET', history, m .. ':misses', misses)
  end
  redis.call('PEXPIRE', history, ARGV[4])
end
return 1
