#!lua flags=no-writes
-- sweep: which of these numbers have something to do, in case a doorbell was missed?
-- KEYS    seven for each number: lanes urgent, high, normal, bulk (list), deferred (zset), deadlines (zset), due (hash)
-- ARGV[1] now (us, empty: server's clock)
-- reply: for each number the sum of 1 (something may leave), 2 (a lease's holder is lost) and 4 (a lease's deadline is
--   further away than any can be: the server's clock was set back, see clamp)
-- @include now_us
-- @include int
local FAR_US = 60000000
local now, reply = now_us(ARGV[1]), {}
for i = 1, #KEYS, 7 do
  local waiting = redis.call('EXISTS', KEYS[i], KEYS[i + 1], KEYS[i + 2], KEYS[i + 3], KEYS[i + 6]) > 0
    or #redis.call('ZRANGE', KEYS[i + 4], '-inf', int(now / 1000), 'BYSCORE', 'LIMIT', 0, 1) > 0
  local lost = #redis.call('ZRANGE', KEYS[i + 5], '-inf', int(now), 'BYSCORE', 'LIMIT', 0, 1) > 0
  local far = #redis.call('ZRANGE', KEYS[i + 5], int(now + FAR_US), '+inf', 'BYSCORE', 'LIMIT', 0, 1) > 0
  reply[#reply + 1] = (waiting and 1 or 0) + (lost and 2 or 0) + (far and 4 or 0)
end
return reply
