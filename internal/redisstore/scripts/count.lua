-- Shared by the scripts that count activity; scripts.go puts it in front of them. A counter
-- is a hash for one minute, and expires after a while.

-- counterOf returns the key of the counter of the minute of a time (ms).
local function counterOf(prefix, now)
  return prefix .. math.floor(tonumber(now) / 60000)
end

-- countGiven counts sessions that were given to users, in a counter (counterOf).
local function countGiven(counter, life, sessions)
  redis.call('HINCRBY', counter, 'given', sessions)
  redis.call('PEXPIRE', counter, life)
end

-- countMissed counts sessions of a pool that a launch asked for, and too few were ready.
local function countMissed(prefix, life, now, sessions)
  local counter = counterOf(prefix, now)
  redis.call('HINCRBY', counter, 'missed', sessions)
  redis.call('PEXPIRE', counter, life)
end

-- countReady counts a session that became ready for the first time, and adds up how long
-- that took (ms).
local function countReady(prefix, life, now, took)
  local counter = counterOf(prefix, now)
  redis.call('HINCRBY', counter, 'ready', 1)
  redis.call('HINCRBY', counter, 'ready_ms', took)
  if took > tonumber(redis.call('HGET', counter, 'ready_max') or '0') then
    redis.call('HSET', counter, 'ready_max', took)
  end
  redis.call('PEXPIRE', counter, life)
end
