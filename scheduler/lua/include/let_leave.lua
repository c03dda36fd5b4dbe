-- let_leave(t, m, class, lanes, now, fits): rows of one lane join the lease; returns whether it is open for the next lane,
-- and how many rows there were.
local function let_leave(t, m, class, lanes, now, fits)
  local before, lane = t.taken, { key = class.key, step = class.step, order = class.order, groups = groups_wait(m, class, now) }
  local open = take(lane, lanes, now, t, fits)
  spend(m, t.taken - before, class)
  return open, t.taken - before
end
