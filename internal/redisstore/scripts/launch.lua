-- What the scripts that begin a launch share; it is put in front of each.

-- heldKey says what stands in the way of a claim's reserving an Idempotency-Key:
-- {"repeat", session, done} when another claim of the same launch holds it ("" for the session where there is none yet),
-- {"reused"} when a different launch does, nil when nothing does.
local function heldKey(key, claim, launch)
  local held = redis.call('HMGET', key, 'claim', 'launch', 'session', 'done')
  if not held[1] or held[1] == claim then
    return nil
  end
  if held[2] ~= launch then
    return { 'reused' }
  end
  return { 'repeat', held[3] or '', held[4] or '' }
end

-- reserveKey reserves it, and names its session where that is known, and that the
-- launch is done where it is. The ids of all of a launch's sessions, where they are
-- several, are beside it in "sessions".
local function reserveKey(key, claim, launch, lease, session, done)
  if done then
    redis.call('HSET', key, 'claim', claim, 'launch', launch, 'session', session, 'done', '1')
  elseif session then
    redis.call('HSET', key, 'claim', claim, 'launch', launch, 'session', session)
  else
    redis.call('HSET', key, 'claim', claim, 'launch', launch)
  end
  redis.call('PEXPIRE', key, lease)
end

-- overLimit gives {"limit", id, ...}, oldest first, when as many more sessions as are
-- wanted (one, where it is not said) would be more than the user is allowed; nil when
-- they may be made. Sessions of the same
-- claim do not count: they are those that did not work out.
local function overLimit(prefix, sessions, claim, most, wanted)
  most = tonumber(most)
  if most == 0 then
    return nil
  end
  local counted = { 'limit' }
  for _, id in ipairs(redis.call('ZRANGE', sessions, 0, -1)) do
    local held = redis.call('HMGET', prefix .. 'session:' .. id, 'state', 'claim')
    if not held[1] or held[1] == 'ending' or held[1] == 'ended' then
      redis.call('ZREM', sessions, id)
    elseif held[2] ~= claim then
      counted[#counted + 1] = id
    end
  end
  if #counted - 1 + (wanted or 1) > most then
    return counted
  end
end
