-- throttled(throttle, now, tps): the TPS (thousandths) that the provider's refusals leave of what is allowed, and the
-- microsecond before which it wants nothing (0: none). The hash is written by slow.lua; `was` is what the number spent
-- when the trouble began, `tps_milli` what the last cut left, at `at`.
-- It recovers by a 500th of the allowed TPS a second. Once CALM seconds went well ten times as fast, up to nine tenths
-- of what it was: after an outage it is soon back, and where a limit was found it is looked for slowly.
-- A cut of the future, or a rest longer than RESTS_US, which no provider can ask for, is from a clock that was set back,
-- and forgotten: the provider will say it again.
local CALM_S, SLOW, FAST, NEARLY = 10, 0.002, 0.02, 0.9
local RESTS_US = 1000000000
local function throttled(throttle, now, tps)
  local found = redis.call('HMGET', throttle, 'tps_milli', 'at', 'was', 'until')
  local rests_until = tonumber(found[4] or 0)
  if found[1] and tonumber(found[2]) <= now then
    local base, seconds = tonumber(found[1]), (now - tonumber(found[2])) / 1000000
    local slowly = base + tps * SLOW * seconds
    local soon = base + tps * (SLOW * CALM_S + FAST * math.max(0, seconds - CALM_S))
    soon = math.min(soon, NEARLY * tonumber(found[3]))
    tps = math.max(1, math.min(tps, math.floor(math.max(slowly, soon))))
  end
  return tps, rests_until > now and rests_until <= now + RESTS_US and rests_until or 0
end
