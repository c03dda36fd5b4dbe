-- A request quota is a log: one entry for each request of the trailing minute, a sorted set by microsecond.
-- QUOTA_US is the provider's minute and a second for the way to it: two requests may take unequally long.
local QUOTA_US, QUOTA_TTL_MS = 61000000, 120000

-- requests(log, now): how many there are in the trailing minute. Writes nothing.
local function requests(log, now)
  return redis.call('ZCOUNT', log, '(' .. int(now - QUOTA_US), '+inf')
end

-- frees_at(log, now, used, limit): when one more may be made.
local function frees_at(log, now, used, limit)
  if used < limit then
    return now
  end
  local entry = redis.call('ZRANGE', log, '(' .. int(now - QUOTA_US), '+inf', 'BYSCORE', 'LIMIT', used - limit, 1,
    'WITHSCORES')
  return math.min(now, tonumber(entry[2])) + QUOTA_US
end

-- log_set_back(log, now): the server's clock may have been set back: requests of the future count as made now.
local function log_set_back(log, now)
  local newest = redis.call('ZRANGE', log, -1, -1, 'WITHSCORES')
  if tonumber(newest[2] or 0) > now then
    for _, id in ipairs(redis.call('ZRANGE', log, '(' .. int(now), '+inf', 'BYSCORE')) do
      redis.call('ZADD', log, int(now), id)
    end
  end
end

-- note(log, id, now): this request is made now; forgets those that are older than the minute.
local function note(log, id, now)
  redis.call('ZREMRANGEBYSCORE', log, '-inf', int(now - QUOTA_US))
  redis.call('ZADD', log, int(now), id)
  redis.call('PEXPIRE', log, QUOTA_TTL_MS)
end

-- begins(lease, now): a lease's request is made now, not when it was planned; false: it was planned so long ago that it
-- no longer counts, and there is no room for it.
local function begins(lease, now)
  if not lease.quota then
    return true
  end
  local log = lease.quota.logs[1]
  local planned = tonumber(redis.call('ZSCORE', log, lease.id) or 0)
  if planned <= now - QUOTA_US and requests(log, now) >= lease.quota.limit then
    return false
  end
  for _, name in ipairs(lease.quota.logs) do
    note(name, lease.id, now)
  end
  return true
end
