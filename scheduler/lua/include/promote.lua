-- promote(deferred, kept, lanes, now): deferred messages whose time has come go to the head of their lanes, at most 50.
local function promote(deferred, kept, lanes, now)
  local due = redis.call('ZRANGE', deferred, '-inf', int(math.floor(now / 1000)), 'BYSCORE', 'LIMIT', 0, 50)
  for i = #due, 1, -1 do
    local held = redis.call('HGET', kept, due[i])
    if held then
      redis.call('RPUSH', lanes[held:sub(1, 1)], held:sub(2))
      redis.call('HDEL', kept, due[i])
    end
    redis.call('ZREM', deferred, due[i])
  end
end
