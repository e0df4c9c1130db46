-- server_run returns the run id of this server: of its process, which a replica does not share.
local function server_run()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
end
