-- Shared by the scripts that serve several calls at once; scripts.go puts it in front of them.

-- attempt serves one of the calls. What fails in it is its own: the reply is {"error", message}.
-- Only that a server takes no writes concerns all of them: the reply is {err = message} then, which
-- the script returns as it is, so that the client leaves that server.
local function attempt(serve, ...)
  local ok, reply = pcall(serve, ...)
  if ok then
    return reply
  end
  local message = type(reply) == 'table' and reply.err or tostring(reply)
  if string.sub(message, 1, 8) == 'READONLY' then
    return { err = message }
  end
  return { 'error', message }
end
