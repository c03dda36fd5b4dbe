-- turn(meter, holder, ends, now): when this holder should ask again, of all who wait for the same permit.
-- Every worker of a number would wake at each permit, and all but one in vain. So the first to wait has the turn; the
-- others come HANDOVER after it, in case it doesn't ask: it is dead, or its pool is full. One that is LATE has lost it.
local LATE_US, HANDOVER_US = 100000, 500000
local function turn(meter, holder, ends, now)
  local of = redis.call('HMGET', meter, 'turn', 'turn_at')
  local at = tonumber(of[2] or 0)
  if of[1] and of[1] ~= holder and at + LATE_US >= now and at <= ends then
    return ends + HANDOVER_US
  end
  redis.call('HSET', meter, 'turn', holder, 'turn_at', int(ends))
  return ends
end
