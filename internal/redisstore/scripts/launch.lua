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

-- markClaimed records a claim in a session's hash, now. key is the launch's Idempotency-Key, false
-- for none; final says that the claim is the assignment.
local function markClaimed(session, state, claim, user, terms, keepalive_ms, user_sessions, key, now, final)
  -- It is known from here on that its user has not opened it yet.
  local fields = { 'state', state, 'claim', claim, 'user', user, 'terms', terms, 'keepalive_ms', keepalive_ms, 'user_key', user_sessions,
    'unvisited_since', now }
  local n = #fields
  if key then
    fields[n + 1], fields[n + 2], n = 'key', key, n + 2
  end
  if final then
    fields[n + 1], fields[n + 2] = 'assigned_at', now
  end
  redis.call('HSET', session, unpack(fields))
end

-- overLimit returns {"limit", id, ...}, oldest first, when as many more sessions as are
-- wanted would be more than the user is allowed, and {"image_limit", id, ...} when they would be
-- more than the image allows a user of it; nil when they would not. Sessions of the
-- same claim do not count: the launch has given them up. Nor do those that another try of the same
-- launch took, by its Idempotency-Key (false for none), and did not give: one whose fate could not be
-- written for want of Consul's leader is ended with its lease, or found by its key in Consul.
local function overLimit(prefix, user_sessions, claim, key, most, wanted, image, most_of_image)
  most, most_of_image = tonumber(most), tonumber(most_of_image)
  if most == 0 and most_of_image == 0 then
    return nil
  end
  local counted, of_image = { 'limit' }, { 'image_limit' }
  for _, id in ipairs(redis.call('ZRANGE', user_sessions, 0, -1)) do
    local held = redis.call('HMGET', prefix .. 'session:' .. id, 'state', 'claim', 'facts', 'key')
    if not held[1] or held[1] == 'ending' or held[1] == 'ended' then
      redis.call('ZREM', user_sessions, id)
    elseif held[2] ~= claim and not (key and held[4] == key and held[1] ~= 'assigned') then
      counted[#counted + 1] = id
      if most_of_image > 0 and member(held[3], 'image') == image then
        of_image[#of_image + 1] = id
      end
    end
  end
  if most > 0 and #counted - 1 + wanted > most then
    return counted
  end
  if most_of_image > 0 and #of_image - 1 + wanted > most_of_image then
    return of_image
  end
end
