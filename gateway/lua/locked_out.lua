#!lua flags=no-writes
-- locked_out: which addresses are locked out, and for how long yet?
-- Guarantee: changes nothing.
-- KEYS[1] lockouts (zset)
-- ARGV[1] how many to tell at most: those whose time is over last
-- reply: address, milliseconds, address, milliseconds, …
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local found = redis.call('ZREVRANGEBYSCORE', KEYS[1], '+inf', '(' .. now_ms, 'WITHSCORES', 'LIMIT', 0, ARGV[1])
for i = 2, #found, 2 do
  found[i] = math.floor(tonumber(found[i]) - now_ms)
end
return found
