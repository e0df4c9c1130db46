-- Notes a session that exists but is not claimable yet.
--
-- KEYS  1 session hash  2 pool set  3 session index  4 events
-- ARGV  1 id  2 state (pending or starting)  3 facts  4 created (ms)  5 pool, "" for an on-demand session
--
-- Gives the state that the session now has, "" for an on-demand session that is not known. A session that is already further
-- on keeps its state; its facts are renewed only while it is nobody's.
local state = redis.call('HGET', KEYS[1], 'state')
if state and state ~= 'pending' and state ~= 'starting' then
  return state
end
if not state and ARGV[5] == '' then
  return ''
end
local to = ARGV[2]
if state == 'starting' then
  to = 'starting'
end
redis.call('HSET', KEYS[1], 'state', to, 'facts', ARGV[3], 'pool', ARGV[5])
if not state then
  redis.call('SADD', KEYS[2], ARGV[1])
  redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
end
if state ~= to then
  redis.call('XADD', KEYS[4], 'MAXLEN', '~', 10000, '*', 'type', to, 'session', ARGV[1], 'pool', ARGV[5])
end
return to
