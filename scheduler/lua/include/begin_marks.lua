-- revoked(lease, now): did a person hold or drop one of its rows since it was leased? This works on the KEYS and ARGV of
-- begin.lua. What stood before, the lease has looked at: only newer marks are compared with its rows; all of them when the
-- lease is of the future: then the server's clock was set back.
local function newer(marks, lease, now)
  local found, at = {}, tonumber(lease.at)
  for _, mark in ipairs(marks) do
    if (mark.at_ms + 1) * 1000 >= at or at > now then
      found[#found + 1] = mark
    end
  end
  return found
end
local function revoked(lease, now)
  local m = marks_of(KEYS[14], KEYS[14], now)
  if not m then
    return false
  end
  local drop, hold = newer(m.drop, lease, now), newer(m.hold, lease, now)
  for _, entry in ipairs((next(m.shut) or #drop + #hold > 0) and rows_of(lease) or {}) do
    local raw = redis.call('HGET', KEYS[11], entry[1])
    local read, row = pcall(facts, raw, {})
    if m.shut[entry[3]] then
      return true
    elseif raw and read then
      row.step = entry[3]
      if first_met(drop, row, m, ARGV[8]) or first_met(hold, row, m, ARGV[8]) then
        return true
      end
    end
  end
  return false
end
