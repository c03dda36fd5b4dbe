-- standing(meter, window, now, window_us): events charged in the trailing window, how many of them nobody could refuse, and
-- up to when (us) the entries reach that have left it; nil: none has. Only looks.
local function standing(meter, window, now, window_us)
  if redis.call('EXISTS', window) == 0 then
    return 0, 0
  end
  local totals = redis.call('HMGET', meter, 'window', 'window_in')
  local total, inside = tonumber(totals[1] or 0), tonumber(totals[2] or 0)
  local edge = int(now - window_us)
  local gone = redis.call('ZRANGE', window, '-inf', edge, 'BYSCORE')
  for _, entry in ipairs(gone) do
    local events = tonumber(entry:match(':(%d+)$'))
    total = total - events
    if entry:find('headway:seen:', 1, true) == 1 then
      inside = inside - events
    end
  end
  return total, inside, #gone > 0 and edge or nil
end
