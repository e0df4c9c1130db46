-- Begins the end of a session that is, or was to be, a user's:
-- claimed | assigned -> ending, and pending | starting for an on-demand one.
--
-- KEYS  1 session hash  2 events
-- ARGV  1 id  2 claim that must hold it, "" for any  3 reason
--
-- Gives "ending", or the state that forbids it; "fenced" when it is another
-- claim's, "" when it is not known.
local held = redis.call('HMGET', KEYS[1], 'state', 'claim', 'pool', 'user_key')
local state = held[1]
if not state then
  return ''
end
if ARGV[2] ~= '' and held[2] ~= ARGV[2] then
  return 'fenced'
end
local onDemand = held[3] == ''
if state == 'assigned' or state == 'claimed' or (onDemand and (state == 'pending' or state == 'starting')) then
  redis.call('HSET', KEYS[1], 'state', 'ending', 'reason', ARGV[3])
  if held[4] then
    redis.call('ZREM', held[4], ARGV[1])
  end
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', 10000, '*', 'type', 'ending', 'session', ARGV[1], 'pool', held[3], 'reason', ARGV[3])
  return 'ending'
end
return state
