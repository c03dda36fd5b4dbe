-- now_us(given): the microsecond it is: what a test gave, or the server's clock, which is the only clock there is.
local function now_us(given)
  if given ~= '' then
    return tonumber(given)
  end
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
