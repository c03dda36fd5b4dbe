-- @include let_leave
-- @include share_out
-- Which lanes does a lease take from? These work on the KEYS of lease.lua.

-- strictly(t, m, class, lanes, now): a class that has all that those above it leave; what to wait for, nil: its lane is empty.
local function strictly(t, m, class, lanes, now)
  local fits, ends, because = room(KEYS[8], now, m, class)
  local open, taken = let_leave(t, m, class, lanes, now, fits)
  if open then
    return nil
  elseif taken > 0 then
    fits, ends, because = room(KEYS[8], now, m, class) -- for the next lease, told in the same answer
  end
  return t.groups_until and { t.groups_until, 'forecast' } or fits < 1 and { ends, because } or { now, 'again' }
end

-- serve(t, m, all, lanes, now): urgent first, then what shares the rest; what to wait for.
local function serve(t, m, all, lanes, now)
  local wait, found = { 0, 'empty' }, {}
  for i, class in ipairs(all) do
    class.key = KEYS[i]
    if redis.call('EXISTS', class.key) == 1 and not closed(t.marks, class.step, wait) then
      local ends = not class.weight and strictly(t, m, class, lanes, now)
      if ends then
        return ends
      end
      found[#found + 1] = class.weight and class or nil
    end
  end
  if #found > 1 then
    return shared(t, m, found, lanes, now)
  end
  return found[1] and strictly(t, m, found[1], lanes, now) or wait
end
