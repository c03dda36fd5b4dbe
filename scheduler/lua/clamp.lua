#!lua flags=allow-oom
-- clamp: after the server's clock was set back, no lease has longer than a lease's time to live from now on.
-- Guarantee: a deadline comes nearer, never goes further away; so it is safe to run twice. Who lives renews in time.
-- KEYS[1] deadlines (zset)
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] lease's time to live (us)
-- reply: how many deadlines were brought nearer
-- @include now_us
-- @include int
local ends = now_us(ARGV[1]) + tonumber(ARGV[2])
local far = redis.call('ZRANGE', KEYS[1], '(' .. int(ends), '+inf', 'BYSCORE', 'LIMIT', 0, 1000)
for _, id in ipairs(far) do
  redis.call('ZADD', KEYS[1], 'XX', int(ends), id)
end
return #far
