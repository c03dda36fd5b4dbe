#!lua flags=no-writes
-- sweep: which of these numbers have something to do, in case a doorbell was missed?
-- Most have nothing: of a hundred such units the server is asked once.
-- KEYS    nine for each number: lanes urgent, high, normal, bulk (list), deferred (zset), deadlines (zset), due (hash),
--   uncertain (zset), held (hash): a hold may have ended, and only a lease brings back what it held
-- ARGV[1] now (us, empty: server's clock)
-- reply: for each number the sum of 1 (something may leave), 2 (a lease's holder is lost), 4 (a lease's deadline is
--   further away than any can be: the server's clock was set back, see clamp) and 8 (it has uncertain rows, see overdue)
-- @include now_us
-- @include int
local FAR_US, EACH = 60000000, 9
local now, reply = now_us(ARGV[1]), {}
-- state(i): what is to be said of the unit whose keys begin with KEYS[i]
local function state(i)
  local waiting = redis.call('EXISTS', KEYS[i], KEYS[i + 1], KEYS[i + 2], KEYS[i + 3], KEYS[i + 6], KEYS[i + 8]) > 0
    or #redis.call('ZRANGE', KEYS[i + 4], '-inf', int(now / 1000), 'BYSCORE', 'LIMIT', 0, 1) > 0
  local lost = #redis.call('ZRANGE', KEYS[i + 5], '-inf', int(now), 'BYSCORE', 'LIMIT', 0, 1) > 0
  local far = #redis.call('ZRANGE', KEYS[i + 5], int(now + FAR_US), '+inf', 'BYSCORE', 'LIMIT', 0, 1) > 0
  local uncertain = redis.call('EXISTS', KEYS[i + 7]) == 1
  return (waiting and 1 or 0) + (lost and 2 or 0) + (far and 4 or 0) + (uncertain and 8 or 0)
end
local all = #KEYS > EACH and redis.call('EXISTS', unpack(KEYS)) == 0
for i = 1, #KEYS, EACH do
  local nothing = all or redis.call('EXISTS', unpack(KEYS, i, i + EACH - 1)) == 0
  reply[#reply + 1] = nothing and 0 or state(i)
end
return reply
