-- How the forecast holds sends: these work on the KEYS and ARGV of lease.lua.
-- @include forecast
-- @include queued
local NEAR, FAR_US, DEVIATIONS, CALM_S, CALM_GROUP_S, BUSY = { 0.25, 0.5, 0.75, 1 }, { 2e6, 5e6, 15e6, 40e6 }, 5, 0.5, 0.3, 0.6
local NEAR_BATCH, COUNTED = { 0.75, 1 }, 200 -- with more events than this in the window they leave it evenly, near enough

-- foreseen(a, now, m): the forecast as it stands now, or nil. Raises m.behind by what nobody tells us. Writes nothing.
local function foreseen(a, now, m)
  local e = expects(a, ARGV[13], ARGV[14], ARGV[15])
  if not e then
    return nil
  end
  local f, inbound = get_forecast(KEYS[18]), tonumber(redis.call('HGET', KEYS[7], 'inbound') or 0)
  local since = f[1]
  -- What came before the window is in `behind`; only what stands in the window is charged there.
  advance(f, e, now > f[1] and math.max(f[1], now - a.window_us) or f[1], a.tps_milli, inbound)
  local one, many = advance(f, e, now, a.tps_milli, inbound)
  local groups = f[14] + f[15] + f[16] + f[23] + f[24] + f[25]
  f[7] = f[7] + (e.webhook and 0 or one) + ((e.webhook and f[6] == 1) and 0 or many)
  if not e.webhook or f[6] == 0 and (groups > 0 or many > 0) then
    m.behind, m.whole = math.max(m.behind, math.floor(f[2] * 1000000)), f[2] > 0
  elseif m.spent < BUSY * m.events then
    f[2] = math.min(f[2], CALM_S * a.tps_milli / 1000)
  end
  return { f = f, e = e, since = since, binds = speaks(f, e) or groups > 0 }
end

-- excess(m): seconds of work that will stand before the container at most, over what TPS works off.
local function excess(m)
  local most, behind = 0, math.max(m.forecast.f[2], m.behind / 1000000)
  for _, us in ipairs(FAR_US) do
    most = math.max(most, (behind + expected(m.forecast.f, m.forecast.e, us)) * 1000 / m.tps_milli - us / 1e6)
  end
  return most
end

-- hold(m, now, calm_s): until when to wait because of the forecast.
local function hold(m, now, calm_s)
  return now + math.floor(math.min(1000000, math.max(50000, (excess(m) - calm_s) * 500000)))
end

-- staying(m, now, part): events of the trailing window that will still be in it after this part of it.
local function staying(m, now, part)
  if m.events > COUNTED or part == 1 then
    return m.spent * (1 - part)
  end
  local edge, left = now - m.window_us, 0
  for _, entry in ipairs(redis.call('ZRANGE', KEYS[8], '(' .. int(edge), int(edge + part * m.window_us), 'BYSCORE')) do
    left = left + tonumber(entry:match(':(%d+)$'))
  end
  return math.max(0, m.spent - left)
end

-- groups_wait(m, class, now): a function that says until when a send to a group must wait; nil: it needn't.
local function groups_wait(m, class, now)
  if m.forecast and class.paced then
    return function()
      return excess(m) > CALM_GROUP_S and hold(m, now, CALM_GROUP_S) or nil
    end
  end
end

-- ahead(m, class, now, fits): how many of those that fit now may leave when what comes is looked at; if none, until when
-- to wait. Urgent and high look at what is, not at what will be. What is alone in its window may always leave: a slow
-- number has room for one event only, and something may come in at any time.
local function ahead(m, class, now, fits)
  if fits < 1 or class.share < 1000000 or not (m.forecast and m.forecast.binds) then
    return fits
  end
  if excess(m) > CALM_S then
    return 0, hold(m, now, CALM_S), 'forecast'
  end
  local least = m.spent < 1 and 1 or 0
  -- What came in while the container was busy and isn't told yet; batches are few and leave what it takes to be told.
  local untold = m.quota and 0 or queued(m) * (m.spent - m.sends)
  for _, part in ipairs(m.quota and NEAR_BATCH or NEAR) do
    local comes = expected(m.forecast.f, m.forecast.e, part * m.window_us)
    local free = m.events - staying(m, now, part) - untold - comes - DEVIATIONS * m.calm / 1e6 * math.sqrt(comes)
    fits = math.min(fits, math.max(least, math.floor(free)))
  end
  if fits < 1 then
    return 0, now + 50000, 'forecast'
  end
  return fits
end
