#!lua flags=allow-oom
-- cancel: a person, or an app, takes one message back.
-- Guarantee: one that is said to be cancelled never leaves, also if a worker has leased it: then no lease with it begins,
-- and the next one that meets it drops it. What has begun, or has come to an end, stays as it is. Running it again changes
-- nothing. A full server lets it run.
-- KEYS[1] record (hash, TTL)   KEYS[2] cancelled (zset, TTL)   KEYS[3] changes (list)
-- KEYS[4..] five for each unit of the number: kept (hash), deferred (zset), uncertain (zset), leases (hash), leased (hash)
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] message id   ARGV[3] time to live of a record (s)
-- ARGV[4] by whom   ARGV[5] from where   ARGV[6] why, or empty   ARGV[7] doorbell (channel)
-- reply: {1, 'cancelled'} when it is, now or before; {0, its state} when it can't be any more; `sending`: it has begun;
--   `uncertain`: it may have left, and its receipt is still waited for; '' for no record
-- @include now_us
-- @include int
local MOST_CHANGES = 1000
local id, now_ms = ARGV[2], math.floor(now_us(ARGV[1]) / 1000)
local found = redis.call('HMGET', KEYS[1], 'state', 'history')
local state = found[1]
-- sending(): has a lease with it begun?
local function sending()
  for i = 4, #KEYS, 5 do
    for _, json in ipairs(redis.call('HEXISTS', KEYS[i + 4], id) == 1 and redis.call('HVALS', KEYS[i + 3]) or {}) do
      if json:find('["' .. id .. '",', 1, true) and cjson.decode(json).state == 'sending' then
        return true
      end
    end
  end
  return false
end
if state == 'cancelled' then
  return { 1, state }
elseif state == 'uncertain' then
  local held = false
  for i = 4, #KEYS, 5 do
    if tonumber(redis.call('ZSCORE', KEYS[i + 2], id) or 0) < 0 then
      redis.call('ZREM', KEYS[i + 2], id)
      redis.call('HDEL', KEYS[i], id)
      held = true
    end
  end
  if not held then
    return { 0, state }
  end
elseif state ~= 'waiting' and state ~= 'deferred' then
  return { 0, state or '' }
elseif sending() then
  return { 0, 'sending' }
else
  -- Wherever it waits, the next lease that meets it drops it; a deferred one is met at once.
  redis.call('ZADD', KEYS[2], int(now_ms), id)
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', int(now_ms - ARGV[3] * 1000))
  redis.call('EXPIRE', KEYS[2], ARGV[3])
  for i = 4, #KEYS, 5 do
    redis.call('ZADD', KEYS[i + 1], 'XX', int(now_ms), id)
  end
end
local why = ARGV[6] ~= '' and ARGV[6] or nil
local entry = cjson.encode({ at_ms = now_ms, state = 'cancelled', by = ARGV[4], reason = why })
redis.call('HSET', KEYS[1], 'state', 'cancelled', 'changed_ms', int(now_ms), 'history',
  (found[2] and found[2] .. '\n' or '') .. entry)
redis.call('HDEL', KEYS[1], 'until_ms', 'reason', 'code')
if why then
  redis.call('HSET', KEYS[1], 'reason', why)
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('LPUSH', KEYS[3], cjson.encode({
  at_ms = now_ms, by = ARGV[4], from = ARGV[5], field = 'message', before = state, after = 'cancelled',
  verb = 'cancel', id = id, rows = 1, reason = why,
}))
redis.call('LTRIM', KEYS[3], 0, MOST_CHANGES - 1)
redis.call('PUBLISH', ARGV[7], ARGV[7]:match('[^:]*$'))
return { 1, 'cancelled' }
