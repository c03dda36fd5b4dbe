-- @include leaves_at
-- @include slots
-- @include ahead
-- room(window, now, m, class): how many events of a class may leave now; if none, until when to wait and why.
-- m: {now, events, tps_milli, window_us, spent, sends, behind, reserve (events), calm (ppm), recently (came anything in
-- that nobody can refuse?), pace_at, floor_at}
-- class: {share (ppm), paced, floor (us, or nil)}, to which the interval (us) of its pace is added.
-- Headroom is there for what can't be refused, and is used by it: sends and such events, or what is kept for them where
-- that is more, fit into TPS. Calm stays free whatever uses the rest, and LEAST of TPS where receipts are expected, in
-- whole events: exactly at TPS each chance is over it. One whole event always fits.
-- The BRAKE holds paced classes while the container is so many windows behind (a batch counts in whole: BRAKE_BATCH).
-- Pacing is GCRA with a tolerance of SLACK: late wake-ups catch up. A wait gathers rows for GATHER, so that a fast
-- number leaves in a few leases of some rows instead of a thousand leases of one.
-- What leaves is charged anew at begin, some milliseconds after its lease: with BEGIN the pace is a little slower than the
-- window, so that the pace binds and its rows are gathered. Else the window would bind, which lets one row go at a time.
local SLACK_US, GATHER_US, BEGIN_US = 50000, 60000, 4000
local BRAKE, BRAKE_BATCH, BRAKE_US, LEAST = 0.3, 0.8, 30000, 0.0125
local function bounded(window, now, m, class)
  local least = m.forecast and m.forecast.binds and math.floor(m.events * LEAST * class.share / 1e6) or 0
  local cap = math.max(1, math.min(m.events - least, math.floor(m.events - m.events * m.calm * class.share / 1e12)))
  class.interval = (m.window_us + BEGIN_US) / cap
  local any, sends = cap - m.spent, m.events - math.ceil(m.reserve * class.share / 1e6) - m.sends
  local fits = math.min(any, sends, math.floor(m.events - m.behind / 1000000))
  local gathered = math.max(0, math.floor(GATHER_US / class.interval) - 1)
  local pace = class.paced and math.ceil(m.pace_at - SLACK_US + gathered * class.interval) or 0
  if math.min(any, sends) < 1 then
    local ends = any < 1 and leaves_at(window, m, 1 - any) or now
    return 0, math.max(pace, ends, sends < 1 and leaves_at(window, m, 1 - sends, true) or 0), 'window'
  elseif fits < 1 then
    return 0, now + math.ceil((m.behind - (m.events - 1) * 1000000) * 1000 / m.tps_milli), 'debt'
  elseif class.paced and m.recently and queued(m) > (m.quota and BRAKE_BATCH or BRAKE) then
    return 0, now + BRAKE_US, 'debt'
  elseif class.paced then
    local paced = math.floor((now + SLACK_US - m.pace_at) / class.interval) + 1
    if paced < 1 then
      return 0, pace, 'pace'
    end
    fits = math.min(fits, paced)
  end
  return fits, 0, ''
end

-- The floor: a number flooded by what nobody can refuse still answers. A class that has one may leave every `floor` us
-- whatever window and debt say, as long as the sends alone keep to the TPS.
local function room(window, now, m, class)
  local fits, ends, because = bounded(window, now, m, class)
  if fits < 1 and class.floor and m.sends < m.events and because ~= 'pace' then
    if m.floor_at <= now then
      class.by_floor = true
      return admits(m.quota, m, class, 1)
    end
    ends = math.min(ends, m.floor_at)
  end
  if fits < 1 then
    return fits, ends, because
  end
  fits, ends, because = ahead(m, class, now, fits)
  if fits < 1 then
    return fits, ends, because
  end
  return admits(m.quota, m, class, fits)
end
