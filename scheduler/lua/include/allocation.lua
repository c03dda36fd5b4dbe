-- allocation(settings, declared, tps_milli, guard_us, throttle, now): what the number may spend, and over which time.
-- What a person set while running wins; else the lowest TPS that any process knows from its environment. The provider's
-- refusals lower it for a while: `allowed_milli` is the TPS without them, `rests_until` when the provider wants more.
-- The window is max(1 s, 1/TPS), so that one event always fits, and a guard for the jitter between begin and the wire.
-- The answer's `live` holds what else a person set: callers prefer it to their arguments.
-- @include live
-- @include throttled
local function allocation(settings, declared, tps_milli, guard_us, throttle, now)
  local set = live(settings)
  local tps = set.tps_milli
  if not tps then
    tps = math.min(tonumber(tps_milli), tonumber(redis.call('HGET', declared, 'lowest') or tps_milli))
  end
  local allowed, rests_until = tps, nil
  tps, rests_until = throttled(throttle, now, tps)
  return {
    tps_milli = tps, allowed_milli = allowed, rests_until = rests_until,
    events = math.max(1, math.floor(tps / 1000)),
    window_us = math.max(1000000, math.ceil(1000000000 / tps)) + (set.guard_us or tonumber(guard_us)),
    paused = set.paused ~= nil and not (set.paused_until and set.paused_until * 1000 <= now), live = set,
  }
end
