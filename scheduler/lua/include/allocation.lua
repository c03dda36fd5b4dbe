-- allocation(settings, declared, tps_milli, guard_us): what the number may spend, and over which time.
-- What a person set while running wins; else the lowest TPS that any process knows from its environment.
-- The window is max(1 s, 1/TPS), so that one event always fits, and a guard for the jitter between begin and the wire.
-- The answer's `live` holds what else a person set: callers prefer it to their arguments.
-- @include live
local function allocation(settings, declared, tps_milli, guard_us)
  local set = live(settings)
  local tps = set.tps_milli
  if not tps then
    tps = math.min(tonumber(tps_milli), tonumber(redis.call('HGET', declared, 'lowest') or tps_milli))
  end
  return {
    tps_milli = tps,
    events = math.max(1, math.floor(tps / 1000)),
    window_us = math.max(1000000, math.ceil(1000000000 / tps)) + (set.guard_us or tonumber(guard_us)),
    paused = set.paused ~= nil, live = set,
  }
end
