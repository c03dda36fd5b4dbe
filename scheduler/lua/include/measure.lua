-- The meter as a lease sees it: these work on the KEYS and ARGV of lease.lua.

-- Headroom is kept while something that can't be refused was seen in the last ten minutes, and no more of it than such
-- events may need: their mean a second and three deviations, or what came in this second.
local HEADROOM_MEMORY_US, DEVIATIONS = 600000000, 3
local function needed(a, now)
  local u = uncontrolled(KEYS[7], now)
  local deviation = math.sqrt(math.max(0, u.square / 1e6 - (u.mean / 1e6) ^ 2))
  local events = math.max(u.count, math.ceil(u.mean / 1e6 + DEVIATIONS * deviation))
  return math.floor(math.min(a.live.headroom_ppm or tonumber(ARGV[7]), math.ceil(events * 1e6 / a.events)))
end

-- measured(a, now): the meter as it stands, for `room` and `spend`.
local function measured(a, now)
  local total, sends = spent(KEYS[7], KEYS[8], now, a.window_us)
  local seen = redis.call('HMGET', KEYS[7], 'uncontrolled_us', 'pace_at', 'floor_at')
  local recently = seen[1] and now - tonumber(seen[1]) < HEADROOM_MEMORY_US
  local headroom = recently and needed(a, now) or 0
  local slowest = a.window_us / math.max(1, math.floor(a.events - a.events * headroom / 1e6))
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
    now = now, events = a.events, tps_milli = a.tps_milli, window_us = a.window_us, headroom = headroom,
    spent = total, sends = sends, behind = backlog(KEYS[7], now, a.tps_milli), pace_at = pace_at,
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
