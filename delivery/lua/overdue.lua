#!lua flags=no-writes
-- overdue: for which uncertain rows has nothing come back in time?
-- KEYS    two for each unit: uncertain (zset), settings (hash)
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] rows at most of each unit
-- ARGV[3..] three for each unit: how long a receipt is waited for (ms), receipts that its container makes (or `none`),
--   are they told: on or off
-- reply: for each unit the ids, longest uncertain first; those from a clock that was set back are among them
-- @include now_us
-- @include int
-- @include patience
local now_ms, reply = math.floor(now_us(ARGV[1]) / 1000), {}
for i = 1, #KEYS, 2 do
  local found = {}
  if redis.call('EXISTS', KEYS[i]) == 1 then
    local n = 3 + (i - 1) / 2 * 3
    local due = int(now_ms - patience(KEYS[i + 1], ARGV[n], ARGV[n + 1], ARGV[n + 2]))
    found = redis.call('ZRANGE', KEYS[i], 0, due, 'BYSCORE', 'LIMIT', 0, ARGV[2])
    for _, id in ipairs(redis.call('ZRANGE', KEYS[i], '(' .. int(now_ms), '+inf', 'BYSCORE', 'LIMIT', 0, ARGV[2])) do
      found[#found + 1] = id
    end
  end
  reply[#reply + 1] = found
end
return reply
