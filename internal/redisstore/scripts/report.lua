-- Replaces what the scaler reports of a pool. No session changes its state. The scaler reports
-- again after every resync, so the script emits an event only if the conditions changed.
--
-- KEYS  1 conditions  2 rollout  3 usual times to ready  4 events  5 remarks  6 sizes by demand
--       7 last failures  8 failed sessions that are kept
-- ARGV  1 pool  2 zone  3 conditions (JSON), "" for none  4 the conditions as a sentence for people
--       5 rollout (JSON), "" for none  6 usual time to ready (ms), 0 for not known  7 remark, "" for none
--       8 "1" for a pool with sizing; the size of another is removed
--       9 last failure (JSON), "" to leave it, "none" for none  10 ids of the sessions that are kept, "" for none
--
-- Returns 1 if the conditions changed, 0 if not.
local conditions, rollout, usual, events, remarks, sizes = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local failures, kept = KEYS[7], KEYS[8]
local pool, zone, new_conditions, text = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local new_rollout, usual_ms, remark, sized = ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local failure, kept_ids = ARGV[9], ARGV[10]

-- replace stores a text; "" removes it.
local function replace(key, value)
  if value == '' then
    redis.call('DEL', key)
  else
    redis.call('SET', key, value)
  end
end

replace(rollout, new_rollout)
if usual_ms == '0' then
  redis.call('HDEL', usual, pool)
else
  redis.call('HSET', usual, pool, usual_ms)
end
if remark == '' then
  redis.call('HDEL', remarks, pool)
else
  redis.call('HSET', remarks, pool, remark)
end
if failure == 'none' then
  redis.call('HDEL', failures, pool)
elseif failure ~= '' then
  redis.call('HSET', failures, pool, failure)
end
if kept_ids == '' then
  redis.call('HDEL', kept, pool)
else
  redis.call('HSET', kept, pool, kept_ids)
end
if sized ~= '1' then
  redis.call('HDEL', sizes, pool)
end
if (redis.call('GET', conditions) or '') == new_conditions then
  return 0
end
replace(conditions, new_conditions)
emit(events, 'conditions', '', pool, 'zone', zone, 'reason', text, 'conditions', new_conditions)
return 1
