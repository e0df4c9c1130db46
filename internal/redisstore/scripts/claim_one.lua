-- Takes sessions of one pool for launches that come together, the oldest ready one for each:
-- ready -> claimed. Each launch is decided for itself, in the order given, as if it were alone:
-- one that is refused, or fails at a damaged record, leaves the others as they are. Preferred
-- sessions near the head of the queue come first, those on nodes that are being drained
-- last, preferred or not. Where no fate record follows the claim,
-- the session is assigned in the same step. The launch's Idempotency-Key, where it has
-- one, is reserved, and the user's sessions are counted against the launch's limit. A launch
-- that finds the pool empty counts as one that it missed.
-- claim_several.lua does the same for one launch of N sessions and several pools.
--
-- KEYS  1 events  2 ready queue  3 pool set  4 the zone's trust hash
--       then for each launch: idempotency key (unused when the fingerprint is ""), the user's sessions
-- ARGV  1 prefix  2 image  3 pool  4 zone  5 permissions  6 revision that a session must have, "" for any
--       7 lease of a key (ms)  8 life of a key (ms) where the claims are final, else ""
--       9 how far down a queue preferred sessions are taken  10 TTL of a scaler's trust (ms)
--       11 prefix of the pool's counters  12 life of a counter (ms)
--       13 restore of Consul that the scaler who trusts Redis must have known of
--       then for each launch: claim, user (JSON), launch fingerprint, "" without a key, terms (JSON),
--       keepalive (ms), 0 for none, most sessions of the user, 0 for no limit, most of the image
--       of the user, 0 for no limit, request id, kept with the events, "" for none, the user's id,
--       how many sessions it prefers, and these
--
-- Returns for each launch one of
--   {"claimed", now, id, facts, ready_at}
--   {"empty", "0"}              nothing is claimable; the key stays reserved, since the launch
--                               goes on to sessions made on demand
--   {"untrusted", "untrusted"}  Redis is not trusted for the zone
--   {"repeat", session, done}, {"reused"}, {"limit", id, ...} or {"image_limit", id, ...} as heldKey and overLimit return them
--   {"error", message}          it is not known how far the claim got
-- Sessions at the head of the queue that the launches cannot take are removed from it, except
-- those of another revision: these launches' may be the older one. And
-- sessions that have ended are removed from the user's sessions (overLimit).
local events, queue, pool_set, trust = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local prefix, image, pool, zone, permits, revision = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local key_lease, final_key_life, prefer_depth = ARGV[7], ARGV[8], tonumber(ARGV[9])
local trust_ttl, counter, counter_life = tonumber(ARGV[10]), ARGV[11], ARGV[12]
local first_launch_key, first_launch_arg = 5, 14

local final = final_key_life ~= ''
local state = final and 'assigned' or 'claimed'
local now = now_ms()
local at_now = tostring(now) -- as Redis gets it: it would write a number out anew with each call
local given, missed = 0, 0

-- popped are ids and scores that were taken from the queue and not considered yet, from next_popped
-- on; passed are scores and ids of sessions of another revision.
local popped, next_popped, passed = {}, 1, {}

-- pop takes the oldest session from the queue, and up to most of them where the next ones are
-- wanted, too; nil when there is none.
local function pop(most)
  if not popped[next_popped] then
    popped, next_popped = redis.call('ZPOPMIN', queue, most), 1
    if not popped[1] then
      return nil
    end
  end
  local id, score = popped[next_popped], popped[next_popped + 1]
  next_popped = next_popped + 2
  return id, score
end

-- take claims a session that is out of the queue, where it had the score; nil when the launch
-- cannot take it.
local function take(l, id, score)
  local session = prefix .. 'session:' .. id
  local held = redis.call('HMGET', session, 'state', 'facts', 'ready_at', 'image', 'zone', 'permits')
  if held[1] ~= 'ready' then
    return nil -- it has moved on
  end
  if held[4] ~= image or held[5] ~= zone or (held[6] or '') ~= permits then
    -- Made for what the pool's config was before: the scaler retires it.
    redis.call('HSET', session, 'state', 'starting')
    emit(events, 'withdrawn', id, pool, 'zone', zone)
    return nil
  end
  if revision ~= '' and member(held[2], 'revision') ~= revision then
    passed[#passed + 1], passed[#passed + 2] = score, id
    return nil
  end
  if not redis.call('SET', prefix .. 'claim:' .. id, l.claim, 'NX') then
    return nil
  end
  markClaimed(session, state, l.claim, l.user, l.terms, l.keepalive_ms, l.user_sessions, l.keyed and l.key, at_now, final)
  if final then
    given = given + 1
  end
  if l.keyed then
    reserveKey(l.key, l.claim, l.fingerprint, final and final_key_life or key_lease, id, final)
  end
  redis.call('SREM', pool_set, id)
  redis.call('ZADD', l.user_sessions, at_now, id)
  emit(events, state, id, pool, 'request_id', l.request_id, 'user_id', l.user_id, 'zone', zone)
  return { 'claimed', at_now, id, held[2], held[3] or '0' }
end

-- claim serves one launch. most is how many sessions may be out of the queue meanwhile.
local function claim(l, most)
  local refusal = (l.keyed and heldKey(l.key, l.claim, l.fingerprint))
    or overLimit(prefix, l.user_sessions, l.claim, l.keyed and l.key, l.most, 1, image, l.most_of_image)
  if refusal then
    return refusal
  end
  for i = l.first_preferred, l.last_preferred do
    local rank = redis.call('ZRANK', queue, ARGV[i])
    local score = rank and rank < prefer_depth and redis.call('ZSCORE', queue, ARGV[i])
    if score and tonumber(score) < demoted_from then
      redis.call('ZREM', queue, ARGV[i])
      local taken = take(l, ARGV[i], score)
      if taken then
        return taken
      end
    end
  end
  while true do
    local id, score = pop(most)
    if not id then
      missed = missed + 1
      if l.keyed then
        reserveKey(l.key, l.claim, l.fingerprint, key_lease)
      end
      return { 'empty', '0' }
    end
    local taken = take(l, id, score)
    if taken then
      return taken
    end
  end
end

local launches, prefers = {}, false
local next_key, next_arg = first_launch_key, first_launch_arg
while next_arg <= #ARGV do
  local a = next_arg
  local preferred = tonumber(ARGV[a + 9])
  launches[#launches + 1] = {
    key = KEYS[next_key], user_sessions = KEYS[next_key + 1],
    claim = ARGV[a], user = ARGV[a + 1], fingerprint = ARGV[a + 2], keyed = ARGV[a + 2] ~= '', terms = ARGV[a + 3],
    keepalive_ms = ARGV[a + 4], most = ARGV[a + 5], most_of_image = ARGV[a + 6], request_id = ARGV[a + 7], user_id = ARGV[a + 8],
    first_preferred = a + 10, last_preferred = a + 9 + preferred,
  }
  prefers = prefers or preferred > 0
  next_key, next_arg = next_key + 2, a + 10 + preferred
end

local replies = {}
-- Trust is checked before the keys and the limits: an old copy of Redis may have both wrong.
-- Only Consul's restore may have lost who holds a key: then what Redis has of it counts, since
-- Consul may have nothing, and a repeat would get another session.
local trust_now = trustOf(trust, trust_ttl, ARGV[13])
if trust_now ~= 'trusted' then
  for i, l in ipairs(launches) do
    replies[i] = trust_now == 'behind' and l.keyed and heldKey(l.key, l.claim, l.fingerprint) or { 'untrusted', 'untrusted' }
  end
  return replies
end
for i, l in ipairs(launches) do
  -- Where a launch prefers sessions, all must be in the queue when its turn comes.
  replies[i] = attempt(claim, l, prefers and 1 or #launches - i + 1)
  if replies[i].err then
    return replies[i]
  end
end
-- What is left goes back to its place.
for i = next_popped, #popped, 2 do
  passed[#passed + 1], passed[#passed + 2] = popped[i + 1], popped[i]
end
if #passed > 0 then
  redis.call('ZADD', queue, unpack(passed))
end
if given > 0 then
  countGiven(counterOf(counter, now), counter_life, given)
end
if missed > 0 then
  countMissed(counter, counter_life, now, missed)
end
return replies
