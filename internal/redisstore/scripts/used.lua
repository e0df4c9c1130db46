-- used notes that a user's session is used, and the first time that it is so.
local function used(session)
  local now = now_ms()
  redis.call('HSET', session, 'keepalive_at', now)
  if redis.call('HDEL', session, 'unvisited_since') == 1 then
    redis.call('HSET', session, 'visited_at', now)
  end
end
