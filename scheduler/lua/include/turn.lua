-- turn(meter, holder, ends, now): when this holder should ask again, of all who wait for the same permit.
-- Every worker of a number would wake at each permit, and all but one in vain. So the first to wait has the turn, and the
-- next is its deputy: it comes HANDOVER after it, in case it doesn't ask: it is dead, or its pool is full. The others
-- come only SPARE after it. Who is LATE has lost its place.
local LATE_US, HANDOVER_US, SPARE_US = 100000, 500000, 2000000
local function turn(meter, holder, ends, now)
  local of = redis.call('HMGET', meter, 'turn', 'turn_at', 'deputy', 'deputy_at')
  local at = tonumber(of[2] or 0)
  if not of[1] or of[1] == holder or at + LATE_US < now or at > ends then
    redis.call('HSET', meter, 'turn', holder, 'turn_at', int(ends))
    return ends
  elseif not of[3] or of[3] == holder or of[3] == of[1] or tonumber(of[4]) + LATE_US < now then
    redis.call('HSET', meter, 'deputy', holder, 'deputy_at', int(ends + HANDOVER_US))
    return ends + HANDOVER_US
  end
  return ends + SPARE_US
end
