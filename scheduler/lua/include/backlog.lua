-- backlog(meter, now, tps_milli): how far behind the container is, in millionths of an event.
-- A leaky bucket, the same as GCRA's virtual clock: every event pours one in, TPS drains it (us * TPS = millionths).
local function backlog(meter, now, tps_milli)
  local at = redis.call('HMGET', meter, 'backlog', 'backlog_at')
  local drained = (now - tonumber(at[2] or now)) * tps_milli / 1000
  return math.max(0, math.floor(tonumber(at[1] or 0) - drained))
end
