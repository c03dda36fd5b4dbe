-- leaves_at(window, m, events, sends): when so many events (with `sends` so many sends) have left the trailing window, as
-- far as its first entries tell. `m.owed`: events of now that the caller may not write into it.
local function leaves_at(window, m, events, sends)
  local ends, edge = m.now, '(' .. int(m.now - m.window_us)
  local entries = redis.call('ZRANGE', window, edge, '+inf', 'BYSCORE', 'LIMIT', 0, 50, 'WITHSCORES')
  for i = 1, #entries, 2 do
    ends = tonumber(entries[i + 1]) + m.window_us
    if not (sends and entries[i]:find('headway:seen:', 1, true) == 1) then
      events = events - tonumber(entries[i]:match(':(%d+)$'))
    end
    if events <= 0 then
      break
    end
  end
  if events > 0 and m.owed and #entries < 100 then
    return m.now + m.window_us
  end
  return ends
end
