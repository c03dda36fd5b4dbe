#!lua flags=allow-oom
-- renew: the holder of these leases lives.
-- Guarantee: a lease that has ended is not brought back.
-- KEYS[1]   deadlines (zset)
-- ARGV[1]   now (us, empty: server's clock)
-- ARGV[2]   lease's time to live (us)
-- ARGV[3..] lease ids
-- reply: the ids that have ended
-- @include now_us
-- @include int
local now, ended = now_us(ARGV[1]), {}
for i = 3, #ARGV do
  if redis.call('ZSCORE', KEYS[1], ARGV[i]) then
    redis.call('ZADD', KEYS[1], 'XX', int(now + tonumber(ARGV[2])), ARGV[i])
  else
    ended[#ended + 1] = ARGV[i]
  end
end
return ended
