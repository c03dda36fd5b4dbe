#!lua flags=allow-oom
-- ease: after the server's clock was set back, no message waits longer for its next try than its pause was.
-- Guarantee: a time comes nearer, never goes further away; so it is safe to run twice. What waits for a time that somebody
-- gave (send_at, eta) is left as it is: its record tells of no try.
-- KEYS[1] deferred (zset)   KEYS[2..] record of each message (hash, TTL)
-- ARGV[1] now (us, empty: server's clock)   ARGV[2..] message ids, as the records
-- reply: how many were brought nearer
-- @include now_us
-- @include int
local now_ms, eased = math.floor(now_us(ARGV[1]) / 1000), 0
for i = 2, #ARGV do
  local found = redis.call('HMGET', KEYS[i], 'state', 'first_ms', 'until_ms', 'changed_ms')
  if found[1] == 'deferred' and found[2] and found[3] and found[4] then
    local ends = now_ms + math.max(0, tonumber(found[3]) - tonumber(found[4]))
    local at = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i]))
    if at and at > ends then
      redis.call('ZADD', KEYS[1], 'XX', int(ends), ARGV[i])
      redis.call('HSET', KEYS[i], 'until_ms', int(ends), 'changed_ms', int(now_ms))
      eased = eased + 1
    end
  end
end
return eased
