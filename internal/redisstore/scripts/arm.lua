-- Leases the oldest ready sessions of a pool to a broker that keeps a shell in each.
-- No session moves: a lease keeps other brokers from opening one there, too.
--
-- KEYS  1 ready queue
-- ARGV  1 prefix  2 broker  3 lease (ms)  4 most sessions  5 how far down the queue to look
--
-- Gives the ids of those that are the broker's now, the oldest first.
local mine = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, ARGV[5] - 1)) do
  if #mine >= tonumber(ARGV[4]) then
    break
  end
  local lease = ARGV[1] .. 'armed:' .. id
  local holder = redis.call('GET', lease)
  if not holder or holder == ARGV[2] then
    redis.call('SET', lease, ARGV[2], 'PX', ARGV[3])
    mine[#mine + 1] = id
  end
end
return mine
