-- Appends an event that is no move of a session.
--
-- KEYS  1 events
-- ARGV  1 type  2 session, "" for none  3 pool, "" for none  4... fields and values in turn
--
-- Returns the id of the event.
return emit(KEYS[1], unpack(ARGV))
