-- Shared by the scripts that order a ready queue; scripts.go puts it in front of them.
--
-- A queue's scores are the sessions' times of creation, in ms. The sessions on nodes that
-- are being drained come after all others: demoted_from is added to their scores, which no
-- time of creation reaches. Their hashes have the field "demoted".
local demoted_from = 1e15

-- rankOf returns a session's score in its ready queue.
local function rankOf(created, demoted)
  return demoted and demoted_from + tonumber(created) or created
end
