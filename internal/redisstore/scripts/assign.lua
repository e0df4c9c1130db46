-- Finishes launches that come together, each for itself: claimed -> assigned, or for an on-demand
-- session pending | starting -> assigned. If the session's hash names the launch's Idempotency-Key,
-- the key is bound to the session for its whole life.
--
-- KEYS  1 events, then the hash of each session
-- ARGV  1 life of a key (ms)  2 life of a counter (ms)
--       then for each session: id, claim, facts, time of assignment (ms), "" for now, prefix of the
--       activity counters: the pool's, or the zone and image's for an on-demand session, the user's
--       id, zone
--
-- Returns for each session {"assigned", assigned_at}; {state} if that state forbids it; {"fenced"} if
-- another claim holds the session; {""} if Redis does not have the session; {"error", message} if it
-- is not known how far it got.
local events = KEYS[1]
local key_life, counter_life = ARGV[1], ARGV[2]
local first_session_key, first_session_arg, session_args = 2, 3, 7

local now = now_ms()
-- given counts the sessions of each counter and time.
local given = {}

local function assign(session, id, claim, facts, assigned_at, counters, user_id, zone)
  local held = redis.call('HMGET', session, 'state', 'claim', 'pool', 'assigned_at', 'key')
  local state, holder, pool, at, key = held[1], held[2], held[3], held[4], held[5]
  if not state then
    return { '' }
  end
  if holder ~= claim then
    return { 'fenced' }
  end
  local on_demand = pool == ''
  if state == 'claimed' or (on_demand and (state == 'pending' or state == 'starting')) then
    at = assigned_at
    if at == '' then
      at = now
    end
    if on_demand then
      redis.call('HDEL', session, 'reason') -- it waited for room
    end
    redis.call('HSET', session, 'state', 'assigned', 'facts', facts, 'assigned_at', at)
    local counter = counterOf(counters, at)
    given[counter] = (given[counter] or 0) + 1
    emit(events, 'assigned', id, pool, 'user_id', user_id, 'zone', zone)
  elseif state ~= 'assigned' then
    return { state }
  end
  if key and redis.call('HGET', key, 'claim') == claim then
    redis.call('HSET', key, 'session', id, 'done', '1')
    redis.call('PEXPIRE', key, key_life)
  end
  return { 'assigned', tostring(at) }
end

local replies = {}
for k = first_session_key, #KEYS do
  local a = first_session_arg + (k - first_session_key) * session_args
  local reply = attempt(assign, KEYS[k], unpack(ARGV, a, a + session_args - 1))
  if reply.err then
    return reply
  end
  replies[#replies + 1] = reply
end
for counter, sessions in pairs(given) do
  countGiven(counter, counter_life, sessions)
end
return replies
