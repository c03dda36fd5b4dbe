-- The meter as a lease sees it: these work on the KEYS and ARGV of lease.lua.

-- reserved(a, now): events kept for what can't be refused: headroom, and no more than such events need a second, their
-- mean and DEVIATION. A share of less than one event keeps one; one is always left for a send.
local DEVIATION = 0.5
local function reserved(a, now)
  local ppm, u = a.live.headroom_ppm or tonumber(ARGV[7]), uncontrolled(KEYS[7], now)
  local needed = u.mean / 1e6 + DEVIATION * math.sqrt(math.max(0, u.square / 1e6 - (u.mean / 1e6) ^ 2))
  local most = ppm > 0 and math.max(1, math.floor(a.events * ppm / 1e6)) or 0
  return math.min(most, math.floor(needed), a.events - 1)
end

-- Calm is kept for so long after the last event that nobody could refuse.
local CALM_MEMORY_US = 600000000

-- measured(a, now): the meter as it stands, for `room` and `spend`.
local function measured(a, now)
  local total, sends = spent(KEYS[7], KEYS[8], now, a.window_us)
  local seen = redis.call('HMGET', KEYS[7], 'uncontrolled_us', 'pace_at', 'floor_at')
  local recently = seen[1] and now - tonumber(seen[1]) < CALM_MEMORY_US
  local calm = recently and (a.live.calm_ppm or tonumber(ARGV[16])) or 0
  local slowest = (a.window_us + BEGIN_US) / math.max(1, math.floor(a.events - a.events * calm / 1e6))
  -- Never further back than a late wake-up: the time of an idle number is gone, it isn't saved up for a burst. Further
  -- ahead than pacing goes is from a time with a lower TPS: one that was just raised holds at once.
  -- Where a request quota makes batches, their rows are gathered; a number of which nothing is known begins with one.
  local quota = slots(a, now)
  local gather_us = quota and quota.gather_us or 0
  local pace_at = math.max(now - SLACK_US - gather_us, tonumber(seen[2] or now))
  if pace_at > now + SLACK_US + slowest + 1 then
    pace_at = now
  end
  local m = {
    now = now, events = a.events, tps_milli = a.tps_milli, window_us = a.window_us, calm = calm,
    recently = recently,
    reserve = reserved(a, now), spent = total, sends = sends, behind = backlog(KEYS[7], now, a.tps_milli), pace_at = pace_at,
    floor_at = tonumber(seen[3] or 0), by_floor = 0, quota = quota,
  }
  m.forecast = foreseen(a, now, m)
  return m
end

-- spend(m, events, class): these leave, so there is less room for the next class.
local function spend(m, events, class)
  rides(m.quota, class, events)
  m.spent, m.sends, m.behind = m.spent + events, m.sends + events, m.behind + events * 1000000
  if class.floor and events > 0 then
    m.floor_at = m.now + class.floor
    m.by_floor = m.by_floor + (class.by_floor and events or 0)
  end
  if class.paced then
    m.pace_at = m.pace_at + events * class.interval
  end
end
