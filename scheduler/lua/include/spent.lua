-- spent(meter, window, now, window_us): events charged in the trailing window, and how many of them were sends; forgets
-- those that have left it. The running totals stand in the meter's fields `window` (all) and `window_in` (what nobody
-- could refuse: its entries are keys of seen), so the cost is that of the entries which leave, once each.
-- Called before anything else of the meter is read: a clock that was set back is dealt with here.
-- @include standing
-- @include set_back
local function spent(meter, window, now, window_us)
  set_back(meter, window, now)
  local total, inside, edge = standing(meter, window, now, window_us)
  if edge then
    redis.call('ZREMRANGEBYSCORE', window, '-inf', edge)
    redis.call('HSET', meter, 'window', total, 'window_in', inside)
  end
  return total, total - inside
end
