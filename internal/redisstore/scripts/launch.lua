-- Functions that the scripts which begin a launch share; it is put in front of each.

-- heldKey returns why a claim cannot reserve an Idempotency-Key: {"repeat", session, done}
-- when another claim of the same launch holds it (session is "" while it has none),
-- {"reused"} when a different launch does; nil when it can.
local function heldKey(key, claim, fingerprint)
  local held = redis.call('HMGET', key, 'claim', 'launch', 'session', 'done')
  if not held[1] or held[1] == claim then
    return nil
  end
  if held[2] ~= fingerprint then
    return { 'reused' }
  end
  return { 'repeat', held[3] or '', held[4] or '' }
end

-- reserveKey reserves an Idempotency-Key for a claim. ids are the launch's sessions, where
-- they are known: the first is in "session", all of several beside it in "sessions".
-- done says that the launch is finished.
local function reserveKey(key, claim, fingerprint, lease, ids, done)
  local fields = { 'claim', claim, 'launch', fingerprint }
  local function also(field, value)
    fields[#fields + 1] = field
    fields[#fields + 1] = value
  end
  if ids then
    also('session', ids[1])
  end
  if ids and #ids > 1 then
    also('sessions', table.concat(ids, ' '))
  end
  if done then
    also('done', '1')
  end
  redis.call('HSET', key, unpack(fields))
  redis.call('PEXPIRE', key, lease)
end

-- overLimit returns {"limit", id, ...}, oldest first, when as many more sessions as are
-- wanted would be more than the user is allowed; nil when they would not. Sessions of the
-- same claim do not count: the launch has given them up.
local function overLimit(prefix, user_sessions, claim, most, wanted)
  most = tonumber(most)
  if most == 0 then
    return nil
  end
  local counted = { 'limit' }
  for _, id in ipairs(redis.call('ZRANGE', user_sessions, 0, -1)) do
    local held = redis.call('HMGET', prefix .. 'session:' .. id, 'state', 'claim')
    if not held[1] or held[1] == 'ending' or held[1] == 'ended' then
      redis.call('ZREM', user_sessions, id)
    elseif held[2] ~= claim then
      counted[#counted + 1] = id
    end
  end
  if #counted - 1 + wanted > most then
    return counted
  end
end
