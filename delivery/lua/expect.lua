#!lua flags=allow-oom
-- expect: the provider accepted a request: something should come back of it.
-- Guarantee: bounded: the oldest of MOST requests make room, and all go an hour after the last. Safe to run twice.
-- KEYS[1] echo (zset, TTL): the provider's id of each request that nothing came back of, by the millisecond it was
--   accepted times 1000 and its rows (999 at most); and `echo`, by when something came back last
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] the provider's id of the request   ARGV[3] its rows
-- reply: 1 if it is new
-- @include now_us
-- @include int
local MOST, TTL_S = 1000, 3600
local at = math.floor(now_us(ARGV[1]) / 1000) * 1000 + math.min(999, tonumber(ARGV[3]))
local new = redis.call('ZADD', KEYS[1], 'NX', int(at), ARGV[2])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -MOST - 1)
redis.call('EXPIRE', KEYS[1], TTL_S)
return new
