-- Shared by all scripts: scripts.go puts it in front of each one.

-- now_ms returns Redis's own time in milliseconds since 1970.
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- emit appends an event to the stream. It keeps about the newest 10000 (maxEvents in
-- webhooks.go), and 200000 while there are webhooks: a script of theirs trims it to
-- fewer once all of them have taken what is older. Further arguments are fields and values in
-- turn. most_events is read once in a script, which may have many events.
local most_events
local function emit(events, kind, session, pool, ...)
  if not most_events then
    -- As a text: Redis writes a number out anew with each call.
    most_events = redis.call('EXISTS', events .. ':cursors') == 1 and '200000' or '10000'
  end
  return redis.call('XADD', events, 'MAXLEN', '~', most_events, '*', 'type', kind, 'session', session, 'pool', pool, ...)
end

-- member returns a text of an object in JSON; "" where it has none, or is no JSON.
local function member(json, name)
  local ok, object = pcall(cjson.decode, json or '')
  if ok and type(object) == 'table' and type(object[name]) == 'string' then
    return object[name]
  end
  return ''
end

-- about returns the fields of an event that say whose a session is, and where it runs.
local function about(session)
  local held = redis.call('HMGET', session, 'user', 'facts')
  return 'user_id', member(held[1], 'id'), 'zone', member(held[2], 'zone')
end
