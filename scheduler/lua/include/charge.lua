-- charge(meter, window, now, behind, what, events, window_us): put events on the meter at `now`.
-- `behind` is the backlog before them. The window's own key outlives its last entry by a minute.
local function charge(meter, window, now, behind, what, events, window_us)
  redis.call('ZADD', window, int(now), what .. ':' .. int(events))
  redis.call('PEXPIRE', window, int(window_us / 1000 + 60000))
  redis.call('HSET', meter, 'backlog', int(behind + events * 1000000), 'backlog_at', int(now))
end
