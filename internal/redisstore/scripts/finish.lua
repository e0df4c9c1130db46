-- Starts the end of a session that a launch holds or held:
-- claimed | assigned | quarantined -> ending, and pending | starting -> ending for an on-demand one.
--
-- KEYS  1 session hash  2 events
-- ARGV  1 id  2 claim that must hold the session, "" for any  3 reason
--
-- Returns "ending", or the state that forbids it; "fenced" if another claim holds the
-- session; "" if Redis does not have the session.
local session, events = KEYS[1], KEYS[2]
local id, claim, reason = ARGV[1], ARGV[2], ARGV[3]

local held = redis.call('HMGET', session, 'state', 'claim', 'pool', 'user_key')
local state, holder, pool, user_sessions = held[1], held[2], held[3], held[4]
if not state then
  return ''
end
if claim ~= '' and holder ~= claim then
  return 'fenced'
end
local on_demand = pool == ''
if state == 'assigned' or state == 'claimed' or state == 'quarantined' or (on_demand and (state == 'pending' or state == 'starting')) then
  finish(session, events, id, pool, user_sessions, reason)
  return 'ending'
end
return state
