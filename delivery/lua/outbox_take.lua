#!lua flags=allow-oom
-- outbox_take: have the turn to give the app the first entry of a contact's line.
-- Guarantee: nobody else has the contact's turn until this one ends or ARGV[4] has passed; then the line is due again.
-- KEYS[1] outbox (hash)   KEYS[2] lines (zset)   KEYS[3] due (zset)   KEYS[4] turns (zset, TTL)
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] token   ARGV[3] contact   ARGV[4] the turn's time to live (ms)
-- ARGV[5] look again in (ms), when a request has the turn
-- reply: {member of lines, entry, now (ms)}, or {} when there is nothing to do now
-- @include now_us
-- @include int
local now = now_us(ARGV[1])
local now_ms = math.floor(now / 1000)
local due = tonumber(redis.call('ZSCORE', KEYS[3], ARGV[3]))
if not due or due > now_ms then
  return {}
end
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', int(now - ARGV[4] * 1000))
if redis.call('EXISTS', KEYS[4]) == 1 then
  redis.call('ZADD', KEYS[3], int(now_ms + ARGV[5]), ARGV[3])
  return {}
end
while true do
  -- A newline ends the contact, and the byte after it is the first one that its members can't have there.
  local first = redis.call('ZRANGEBYLEX', KEYS[2], '[' .. ARGV[3] .. '\n', '(' .. ARGV[3] .. '\11', 'LIMIT', 0, 1)[1]
  if not first then
    redis.call('ZREM', KEYS[3], ARGV[3])
    return {}
  end
  local entry = redis.call('HGET', KEYS[1], first:sub(#ARGV[3] + 23))
  if entry then
    redis.call('ZADD', KEYS[4], int(now), ARGV[2])
    redis.call('PEXPIRE', KEYS[4], ARGV[4])
    redis.call('ZADD', KEYS[3], int(now_ms + ARGV[4]), ARGV[3])
    return { first, entry, int(now_ms) }
  end
  redis.call('ZREM', KEYS[2], first)
end
