-- What the forecast writes in a lease: these work on the KEYS of lease.lua.

-- owe(m, now): receipts that nobody tells us of are charged when they are expected, in whole events.
local function owe(m, now)
  local f = m.forecast and m.forecast.f
  if not f or f[7] < 1 then
    -- Parts of an event are kept, or they would be lost with the window that they came in.
    -- After a clock was set back time goes on from now, or nothing would ever be worked off.
    if f and (m.forecast.since > now or f[7] > 0 and now - m.forecast.since > m.window_us / 2) then
      put_forecast(KEYS[18], f)
    end
    return
  end
  local events = math.floor(f[7])
  f[7] = f[7] - events
  -- m.behind has them already: they came when the forecast said.
  charge(KEYS[7], KEYS[8], now, m.behind - events * 1000000, 'headway:seen:foreseen:' .. int(now), events, m.window_us)
  local u = uncontrolled(KEYS[7], now)
  m.spent = m.spent + events
  redis.call('HSET', KEYS[7], 'window', m.spent, 'window_in', m.spent - m.sends, 'uncontrolled_us', int(now),
    'in_second', int(u.second), 'in_count', u.count + events, 'in_mean', int(u.mean), 'in_square', int(u.square))
  redis.call('HINCRBY', KEYS[7], 'foreseen', events)
  put_forecast(KEYS[18], f)
end

-- leaves(m, t): these rows leave, and will bring receipts.
local function leaves(m, t)
  local f = m.forecast and m.forecast.f
  if f then
    f[2] = f[2] + t.taken
    for b = 8, 17, 9 do
      f[b + 3], f[b + 6] = f[b + 3] + t.taken - t.groups, f[b + 6] + t.members
    end
    put_forecast(KEYS[18], f)
  end
end
