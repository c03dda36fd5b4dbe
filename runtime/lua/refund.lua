-- refund(meter, window, lease, unspent): give back what a lease was charged for `unspent` rows that never left.
-- `lease` is its record in `leases`; its charge shrinks with it. A charge that has left the window is history by now.
-- When nothing of it left, no request was made: the account's logs, which the record names, forget it.
local function refund(meter, window, lease, unspent)
  unspent = math.min(unspent, lease.charged)
  if unspent <= 0 then
    return
  end
  local entry = lease.id .. ':' .. lease.charged
  if redis.call('ZSCORE', window, entry) then
    redis.call('HINCRBY', meter, 'window', -unspent)
    if lease.charged > unspent then
      redis.call('ZADD', window, lease.at, lease.id .. ':' .. lease.charged - unspent)
    end
    redis.call('ZREM', window, entry) -- last: a window that was empty in between would lose its time to live
    -- No debt below nothing: the container has drained what it could, and that is history too.
    local behind = tonumber(redis.call('HGET', meter, 'backlog') or 0)
    redis.call('HSET', meter, 'backlog', int(math.max(0, behind - unspent * 1000000)))
  end
  redis.call('HINCRBY', meter, 'send', -unspent)
  lease.charged = lease.charged - unspent
  for _, log in ipairs(lease.charged == 0 and lease.quota and lease.quota.logs or {}) do
    redis.call('ZREM', log, lease.id)
  end
end
