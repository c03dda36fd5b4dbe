-- @include shares
-- What a lease takes of classes that share: these work on the KEYS of lease.lua, and on include/let_leave.lua.

-- sized_up(t, m, found, now): what of each class fits. Where requests are few, one that is made anyway takes all along,
-- and is of one shape: the others have their turn in another one. Returns the class that makes the request, or nil.
local function sized_up(t, m, found, now)
  local q, opens, first = m.quota, nil, nil
  local share = q and q.share
  for _, class in ipairs(found) do
    class.fits, class.ends, class.because = room(KEYS[8], now, m, class)
    class.waiting = redis.call('LLEN', class.key)
    if q and not q.share and class.fits >= 1 then
      opens, q.share = class, class.share
    end
    if class.fits >= 1 and (not first or class.pass < first.pass) then
      first = class
    end
  end
  if q then
    q.share = share
    local shape = t.shape or first and judge(t, redis.call('LINDEX', first.key, -1), first.step, now).shape
    for _, class in ipairs(first and found or {}) do
      if judge(t, redis.call('LINDEX', class.key, -1), class.step, now).shape ~= shape then
        class.waiting = 0
      end
    end
  end
  return opens and opens.waiting > 0 and opens or nil
end

-- soonest(t, m, found, now): what to wait for before the next lease.
local function soonest(t, m, found, now)
  if t.groups_until then
    return { t.groups_until, 'forecast' }
  end
  local wait = { math.huge, 'empty' }
  for _, class in ipairs(found) do
    local fits, ends, because = room(KEYS[8], now, m, class)
    if fits >= 1 then
      return { now, 'again' }
    elseif ends < wait[1] then
      wait = { ends, because }
    end
  end
  return wait
end

-- shared(t, m, found, lanes, now): classes that share what is left, each by its weight; what to wait for.
local function shared(t, m, found, lanes, now)
  local s = passes(found, m, now)
  local opens, most, slowest = sized_up(t, m, found, now), t.max_rows - #t.rows, 0
  if opens then
    opens.rows, opens.at = 1, opens.at + opens.stride
  end
  local first, total = allot(found, most, opens and 1 or 0)
  while first and total == 0 do
    local ends, lost = held_up(s, found, first, now)
    if ends then
      wrote(s, found, now)
      return { ends, first.because }
    elseif not lost then
      break
    end
    first, total = allot(found, most, 0)
  end
  table.sort(found, function(one, other)
    if (one == opens) ~= (other == opens) then
      return one == opens
    end
    return one.pass < other.pass or one.pass == other.pass and one.step < other.step
  end)
  for _, class in ipairs(found) do
    slowest = math.max(slowest, class.interval)
  end
  local before = t.taken
  for _, class in ipairs(found) do
    if class.rows > 0 and not t.shut then
      local fits = room(KEYS[8], now, m, class)
      class.interval = slowest -- as the most careful of those that share
      local _, taken = let_leave(t, m, class, lanes, now, math.min(fits, class.rows))
      class.pass = class.pass + taken * class.stride
      s.held_at[class.step] = taken > 0 and 0 or s.held_at[class.step]
    end
  end
  if t.taken > before then
    wrote(s, found, now)
  end
  return soonest(t, m, found, now)
end
