-- Replaces what is said of a pool. No session moves. It is an event where what is said
-- differs from before, or nothing was said before and something is now: the scaler says
-- all of it again after every reading.
--
-- KEYS  1 conditions  2 events
-- ARGV  1 pool  2 conditions (JSON), "" for none  3 the same in words
--
-- Gives 1 when it was a change, 0 when not.
if (redis.call('GET', KEYS[1]) or '') == ARGV[2] then
  return 0
end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', 10000, '*', 'type', 'conditions', 'session', '', 'pool', ARGV[1], 'reason', ARGV[3])
else
  redis.call('SET', KEYS[1], ARGV[2])
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', 10000, '*', 'type', 'conditions', 'session', '', 'pool', ARGV[1], 'reason', ARGV[3], 'conditions', ARGV[2])
end
return 1
