-- leaves_at(window, m, events): when so many events have left the trailing window, as far as its first entries tell.
-- `m.owed`: events of now that the caller may not write into it.
local function leaves_at(window, m, events)
  local ends, edge = m.now, '(' .. int(m.now - m.window_us)
  local entries = redis.call('ZRANGE', window, edge, '+inf', 'BYSCORE', 'LIMIT', 0, 50, 'WITHSCORES')
  for i = 1, #entries, 2 do
    events, ends = events - tonumber(entries[i]:match(':(%d+)$')), tonumber(entries[i + 1]) + m.window_us
    if events <= 0 then
      break
    end
  end
  if events > 0 and m.owed and #entries < 100 then
    return m.now + m.window_us
  end
  return ends
end
