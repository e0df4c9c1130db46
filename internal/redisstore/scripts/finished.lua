-- finish starts the end of a user's session.
local function finish(session, events, id, pool, user_sessions, reason)
  redis.call('HSET', session, 'state', 'ending', 'reason', reason)
  if user_sessions then
    redis.call('ZREM', user_sessions, id)
  end
  emit(events, 'ending', id, pool, 'reason', reason, about(session))
end
