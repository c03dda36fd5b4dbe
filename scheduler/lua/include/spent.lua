-- spent(meter, window, now, window_us): events charged in the trailing window, and how many of them were sends; forgets
-- those that have left it. The running totals stand in the meter's fields `window` (all) and `window_in` (what nobody
-- could refuse: its entries are keys of seen), so the cost is that of the entries which leave, once each.
local function spent(meter, window, now, window_us)
  if redis.call('EXISTS', window) == 0 then
    return 0, 0
  end
  local totals = redis.call('HMGET', meter, 'window', 'window_in')
  local total, inside = tonumber(totals[1] or 0), tonumber(totals[2] or 0)
  local edge = int(now - window_us)
  local gone = redis.call('ZRANGE', window, '-inf', edge, 'BYSCORE')
  if #gone == 0 then
    return total, total - inside
  end
  for _, entry in ipairs(gone) do
    local events = tonumber(entry:match(':(%d+)$'))
    total = total - events
    if entry:find('headway:seen:', 1, true) == 1 then
      inside = inside - events
    end
  end
  redis.call('ZREMRANGEBYSCORE', window, '-inf', edge)
  redis.call('HSET', meter, 'window', total, 'window_in', inside)
  return total, total - inside
end
