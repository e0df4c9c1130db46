-- Shared by all scripts: scripts.go puts it in front of each one.

-- now_ms returns Redis's own time in milliseconds since 1970.
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- emit appends an event to the stream, which keeps about the newest 10000 (maxEvents in
-- events.go). Further arguments are fields and values in turn.
local function emit(events, kind, session, pool, ...)
  return redis.call('XADD', events, 'MAXLEN', '~', 10000, '*', 'type', kind, 'session', session, 'pool', pool, ...)
end
