-- Leases the oldest ready sessions of a pool to a broker that keeps a shell in each.
-- No session changes its state. The lease only keeps other brokers from opening a shell
-- in the same session.
--
-- KEYS  1 ready queue
-- ARGV  1 prefix of all keys  2 broker  3 lease (ms)  4 most sessions  5 how many of the queue's oldest sessions to consider
--
-- Returns the ids of the sessions that the broker now leases, oldest first.
local ready = KEYS[1]
local prefix, broker, lease_ms, limit, depth = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])

local leased = {}
for _, id in ipairs(redis.call('ZRANGE', ready, 0, depth - 1)) do
  if #leased >= limit then
    break
  end
  local lease = prefix .. 'armed:' .. id
  local holder = redis.call('GET', lease)
  if not holder or holder == broker then
    redis.call('SET', lease, broker, 'PX', lease_ms)
    leased[#leased + 1] = id
  end
end
return leased
