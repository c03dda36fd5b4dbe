-- set_back(meter, window, now): the server's clock may have been set back, by a person or by a failover to a host whose
-- clock is behind. What was spent in the future counts as spent now: else nothing leaves until the clock has caught up.
-- Never does a message leave too early by it; at worst all wait for one window, and no debt is forgiven.
local function set_back(meter, window, now)
  local found = redis.call('HMGET', meter, 'backlog_at', 'floor_at', 'uncontrolled_us', 'in_second')
  local ahead = tonumber(found[1] or 0) - now
  if ahead <= 0 then
    return
  end
  for _, entry in ipairs(redis.call('ZRANGE', window, '(' .. int(now), '+inf', 'BYSCORE')) do
    redis.call('ZADD', window, int(now), entry)
  end
  local floor_at = tonumber(found[2] or 0)
  redis.call('HSET', meter, 'backlog_at', int(now), 'floor_at', int(floor_at > now and floor_at - ahead or floor_at))
  if found[3] then
    redis.call('HSET', meter, 'uncontrolled_us', int(math.min(now, tonumber(found[3]))),
      'in_second', int(math.min(math.floor(now / 1000000), tonumber(found[4]))))
  end
end
