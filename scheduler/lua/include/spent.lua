-- spent(meter, window, now, window_us): events charged in the trailing window; forgets those that have left it.
-- The running total stands in the meter's field `window`, so the cost is that of the entries which leave, once each.
local function spent(meter, window, now, window_us)
  if redis.call('EXISTS', window) == 0 then
    return 0
  end
  local total = tonumber(redis.call('HGET', meter, 'window') or 0)
  local edge = int(now - window_us)
  local gone = redis.call('ZRANGE', window, '-inf', edge, 'BYSCORE')
  if #gone == 0 then
    return total
  end
  for _, entry in ipairs(gone) do
    total = total - tonumber(entry:match(':(%d+)$'))
  end
  redis.call('ZREMRANGEBYSCORE', window, '-inf', edge)
  redis.call('HSET', meter, 'window', total)
  return total
end
