-- waits(state): its record says that it isn't at the provider: it is on a lane, deferred, or in a lease again.
local function waits(state)
  return state == 'waiting' or state == 'deferred'
end

-- withdraw(id, deferred, kept, cancelled, now_ms, ttl_s): a row that waits to be tried again was sent after all, and must
-- not leave again. A deferred one is let go at once; any other is marked, because nothing is taken from the middle of a
-- list: no lease with it begins, and the next lease that meets it drops it. Returns whether it was marked, else also what
-- was kept of it: priority step and envelope.
local function withdraw(id, deferred, kept, cancelled, now_ms, ttl_s)
  if redis.call('ZREM', deferred, id) == 1 then
    local held = redis.call('HGET', kept, id)
    redis.call('HDEL', kept, id)
    return false, held
  end
  redis.call('ZADD', cancelled, now_ms, id)
  redis.call('ZREMRANGEBYSCORE', cancelled, '-inf', int(now_ms - ttl_s * 1000))
  redis.call('EXPIRE', cancelled, ttl_s)
  return true
end
