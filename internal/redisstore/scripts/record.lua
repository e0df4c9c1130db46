-- Records a session that exists and is not claimable yet: pending -> starting, or a new one.
-- A session that is further on keeps its state and its facts. An on-demand session that
-- Redis does not have is not created, because its user is not known here.
--
-- KEYS  1 session hash  2 pool set  3 session index  4 events
-- ARGV  1 id  2 state (pending or starting)  3 facts  4 created (ms)  5 pool, "" for an on-demand session
--
-- Returns the session's state after the script; "" for an on-demand session that Redis does
-- not have.
local session, pool_set, index, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, new_state, facts, created, pool = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local state = redis.call('HGET', session, 'state')
if state and state ~= 'pending' and state ~= 'starting' then
  return state
end
if not state and pool == '' then
  return ''
end
if state == 'starting' then
  new_state = 'starting'
end
if new_state == 'starting' then
  redis.call('HDEL', session, 'reason') -- it waited for room
end
redis.call('HSET', session, 'state', new_state, 'facts', facts, 'pool', pool)
if not state then
  redis.call('SADD', pool_set, id)
  redis.call('ZADD', index, created, id)
end
if state ~= new_state then
  emit(events, new_state, id, pool, about(session))
end
return new_state
