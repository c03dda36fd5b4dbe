#!lua flags=allow-oom
-- quota: take a request from a named quota of an account.
-- Guarantee: no trailing minute has more requests than the quota; the same request id is taken once.
-- KEYS[1] the requests of the trailing minute (zset, TTL)
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] request id   ARGV[3] requests a minute
-- reply: {1, now, 0} (it may be made now), or {0, now, when there is room again}
-- @include now_us
-- @include int
-- @include requests
local now, limit = now_us(ARGV[1]), tonumber(ARGV[3])
local made = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[2]) or 0)
if made > now - QUOTA_US then
  return { 1, now, 0 }
end
local used = requests(KEYS[1], now)
if used >= limit then
  return { 0, now, frees_at(KEYS[1], now, used, limit) }
end
note(KEYS[1], ARGV[2], now)
return { 1, now, 0 }
