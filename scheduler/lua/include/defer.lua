-- defer(deferred, id, at_us): the message waits until then, behind all that wait for the same millisecond already: it takes
-- the last of them, and a step of time that is the least a score can tell (two to the power of -12 ms; some 4,000 of
-- them go into a millisecond, the next ones into the one after it).
local defer
do
local SPREAD_MS, LEAST_MS = 1000, 2 ^ -12
local full = {} -- time -> the first millisecond after it that this call hasn't found full: many wait for the same time
function defer(deferred, id, at_us)
  local wanted = math.ceil(at_us / 1000)
  local at = wanted
  for ms = full[wanted] or wanted, wanted + SPREAD_MS do
    full[wanted] = ms
    local last = redis.call('ZRANGE', deferred, '(' .. int(ms + 1), int(ms), 'BYSCORE', 'REV', 'LIMIT', 0, 1, 'WITHSCORES')
    if not last[2] then
      at = ms
      break
    end
    at = tonumber(last[2]) + LEAST_MS
    if at < ms + 1 then
      break
    end
  end
  redis.call('ZADD', deferred, string.format('%.17g', at), id)
end
end
