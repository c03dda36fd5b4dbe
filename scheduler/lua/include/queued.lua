-- How long does what arrives now wait for its turn at the container? Nobody tells us of events that wait, only of those
-- worked off. But of all that leaves the container's queue we know which turns were not ours: while it is busy, debt
-- grows by each of our sends and falls by each of our turns, so it is the number of our own sends that still wait. Queues
-- keep their order: as many sends as left in a part of the window wait as long as that part is.
-- One event of debt is what an idle container has too: a send whose turn is now.
-- queued(m): that part of the window, at most all of it. Where the debt is the whole work (m.whole: expected receipts that
-- nobody tells us of are in it), its part of TPS.
local function queued(m)
  local waiting = m.behind / 1000000
  local among = m.whole and m.events or m.sends
  if waiting <= 1 then
    return 0
  end
  return among > 0 and math.min(1, waiting / among) or 1
end
