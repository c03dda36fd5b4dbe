-- uncontrolled(meter, now): how many events a second come in that nobody can refuse, exponentially weighted by whole
-- seconds: {second, count (in that second, so far), mean, square (of counts; both in millionths)}.
local WEIGHT = 0.2
local function uncontrolled(meter, now)
  local found = redis.call('HMGET', meter, 'in_second', 'in_count', 'in_mean', 'in_square')
  local second = math.floor(now / 1000000)
  local u = {
    second = tonumber(found[1] or second), count = tonumber(found[2] or 0), mean = tonumber(found[3] or 0),
    square = tonumber(found[4] or 0),
  }
  if second > u.second then
    local idle = (1 - WEIGHT) ^ (second - u.second - 1) -- seconds in which nothing came
    u.mean = math.floor((u.mean + (u.count * 1000000 - u.mean) * WEIGHT) * idle)
    u.square = math.floor((u.square + (u.count * u.count * 1000000 - u.square) * WEIGHT) * idle)
    u.second, u.count = second, 0
  end
  return u
end
