-- How classes share what urgent leaves: stride scheduling. These work on the KEYS of lease.lua.
-- Each row moves its class's pass on by a stride, the shorter the greater its weight; the class that is least far on is
-- next. Passes stand in the meter (`pass_<step>`), from the one that is least far on; with them when they were written
-- (`shared_at`), and since when each held the others up (`held_<step>`). A class without messages saves nothing up.
-- The class whose turn it is may not fit though another would, because it leaves more free, or looks ahead. Then the others
-- wait for it, HOLD at most, else one that takes all there is would keep it out for ever. If it doesn't fit even then, it
-- loses its turns until it does, and is waited for again when AGAIN has passed: else one that can't go costs the others all.
local STRIDE, HOLD_US, AGAIN_US, FORGET_WINDOWS = 5040000, 1000000, 10000000, 10
local SHARING = { '3', '6', '9' }

-- passes(found, m, now): gives each class its pass and stride; returns the rest of what stands in the meter.
local function passes(found, m, now)
  local at = redis.call('HMGET', KEYS[7], 'pass_3', 'pass_6', 'pass_9', 'held_3', 'held_6', 'held_9', 'shared_at')
  local age = now - tonumber(at[7] or 0)
  local fresh = age >= 0 and age <= FORGET_WINDOWS * m.window_us
  local s = { pass = {}, held_at = {} }
  for i, step in ipairs(SHARING) do
    s.pass[step], s.held_at[step] = fresh and tonumber(at[i] or 0) or 0, fresh and tonumber(at[3 + i] or 0) or 0
  end
  for _, class in ipairs(found) do
    class.pass, class.stride, class.rows = s.pass[class.step], math.floor(STRIDE / class.weight), 0
    class.at = class.pass
  end
  return s
end

-- wrote(s, found, now): passes stand written, from the one of these that is least far on; who `lost` its turns saves nothing.
local function wrote(s, found, now)
  local least = math.huge
  for _, class in ipairs(found) do
    s.pass[class.step], least = class.pass, class.lost and least or math.min(least, class.pass)
  end
  local flat = { 'shared_at', int(now) }
  for _, step in ipairs(SHARING) do
    flat[#flat + 1], flat[#flat + 2] = 'pass_' .. step, int(math.max(0, s.pass[step] - least))
    flat[#flat + 1], flat[#flat + 2] = 'held_' .. step, int(s.held_at[step])
  end
  redis.call('HSET', KEYS[7], unpack(flat))
end

-- allot(found, most, total): how many rows each may have (`rows`), turn by turn, after `total`; returns the class whose turn
-- it is and that doesn't fit, or nil, and how many were given. Who has `lost` its turns is passed over.
local function allot(found, most, total)
  while total < most do
    local first
    for _, class in ipairs(found) do
      if class.rows < class.waiting and not class.lost and (not first or class.at < first.at) then
        first = class
      end
    end
    if not first then
      return nil, total
    elseif first.fits - total < 1 then
      return first, total
    end
    first.rows, first.at, total = first.rows + 1, first.at + first.stride, total + 1
  end
  return nil, total
end

-- held_up(s, found, first, now): it is the turn of `first`, and it doesn't fit; until when the others wait for it, nil: they
-- don't have to, for none fits, or one may leave by its floor, or they have waited long enough and its turns are lost.
local function held_up(s, found, first, now)
  local other
  for _, class in ipairs(found) do
    if class.fits >= 1 and class.waiting > 0 then
      other = class
      if class.by_floor then
        class.rows, class.at = 1, class.at + class.stride
        return nil
      end
    end
  end
  if not other then
    return nil
  end
  local at = s.held_at[first.step]
  if at > now or at + AGAIN_US <= now then
    at, s.held_at[first.step] = now, now
  end
  first.lost = at + HOLD_US <= now
  return not first.lost and math.min(first.ends, at + HOLD_US) or nil, first.lost
end
