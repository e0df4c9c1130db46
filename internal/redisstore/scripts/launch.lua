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

-- reserveKey reserves an Idempotency-Key for a claim. session is the launch's, the first of
-- several, where it is known; done says that the launch is finished.
local function reserveKey(key, claim, fingerprint, lease, session, done)
  if done then
    redis.call('HSET', key, 'claim', claim, 'launch', fingerprint, 'session', session, 'done', '1')
  elseif session then
    redis.call('HSET', key, 'claim', claim, 'launch', fingerprint, 'session', session)
  else
    redis.call('HSET', key, 'claim', claim, 'launch', fingerprint)
  end
  redis.call('PEXPIRE', key, lease)
end

-- markClaimed records a claim in a session's hash. key is the launch's Idempotency-Key,
-- assigned_at the time where the claim is the assignment; false for none.
local function markClaimed(session, state, claim, user, terms, keepalive_ms, user_sessions, key, assigned_at)
  local fields = { 'state', state, 'claim', claim, 'user', user, 'terms', terms, 'keepalive_ms', keepalive_ms, 'user_key', user_sessions }
  local n = #fields
  if key then
    fields[n + 1], fields[n + 2], n = 'key', key, n + 2
  end
  if assigned_at then
    fields[n + 1], fields[n + 2] = 'assigned_at', assigned_at
  end
  redis.call('HSET', session, unpack(fields))
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
