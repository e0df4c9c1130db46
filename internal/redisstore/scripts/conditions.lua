-- Replaces the conditions of a pool. No session changes its state. The scaler sets the
-- conditions again after every pass, so the script emits an event only if they changed.
--
-- KEYS  1 conditions  2 events
-- ARGV  1 pool  2 conditions (JSON), "" for none  3 the conditions as a sentence for people
--
-- Returns 1 if the conditions changed, 0 if not.
local conditions, events = KEYS[1], KEYS[2]
local pool, value, text = ARGV[1], ARGV[2], ARGV[3]

if (redis.call('GET', conditions) or '') == value then
  return 0
end
if value == '' then
  redis.call('DEL', conditions)
  emit(events, 'conditions', '', pool, 'reason', text)
else
  redis.call('SET', conditions, value)
  emit(events, 'conditions', '', pool, 'reason', text, 'conditions', value)
end
return 1
