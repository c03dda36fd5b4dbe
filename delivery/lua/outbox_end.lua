#!lua flags=allow-oom
-- outbox_end: what became of an entry of the outbox: gone (the app took it, or a person discarded it), to be tried
-- again, or parked.
-- Guarantee: what is gone stays gone. A try that lost its turn changes nothing unless the app took the entry. Safe to
-- run twice.
-- KEYS[1] outbox (hash)   KEYS[2] lines (zset)   KEYS[3] due (zset)   KEYS[4] turns (zset, TTL)   KEYS[5] bytes (string)
-- KEYS[6] parked (zset)   KEYS[7] since (zset)
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] token of the turn, empty: a person says so
-- ARGV[3] gone|again|parked   ARGV[4] contact   ARGV[5] member of lines   ARGV[6] entry id   ARGV[7] its new line of JSON
-- ARGV[8] again: in (ms)   ARGV[9] when it came (us)
-- reply: 1 when it is as was said, 0 when there is no such entry, or it is another's turn
-- @include now_us
-- @include int
local now_ms = math.floor(now_us(ARGV[1]) / 1000)
local entry, mine = redis.call('HGET', KEYS[1], ARGV[6]), redis.call('ZREM', KEYS[4], ARGV[2]) == 1
local person = ARGV[2] == ''
if not entry or not (mine or person or ARGV[3] == 'gone') then
  if mine then
    redis.call('ZADD', KEYS[3], 'XX', int(now_ms), ARGV[4])
  end
  return 0
end
if ARGV[3] == 'gone' then
  redis.call('HDEL', KEYS[1], ARGV[6])
  if redis.call('DECRBY', KEYS[5], #entry) <= 0 then
    redis.call('DEL', KEYS[5])
  end
elseif ARGV[7] ~= '' then
  local changed = ARGV[7] .. entry:sub(entry:find('\n', 1, true), -1)
  redis.call('HSET', KEYS[1], ARGV[6], changed)
  redis.call('INCRBY', KEYS[5], #changed - #entry)
end
if ARGV[3] == 'again' then
  redis.call('ZREM', KEYS[6], ARGV[6])
  redis.call('ZADD', KEYS[2], 0, ARGV[5])
  redis.call('ZADD', KEYS[7], ARGV[9], ARGV[6])
  redis.call('ZADD', KEYS[3], int(now_ms + ARGV[8]), ARGV[4])
  return 1
end
redis.call('ZREM', KEYS[2], ARGV[5])
redis.call('ZREM', KEYS[7], ARGV[6])
if ARGV[3] == 'parked' then
  redis.call('ZADD', KEYS[6], int(now_ms), ARGV[6])
else
  redis.call('ZREM', KEYS[6], ARGV[6])
end
if #redis.call('ZRANGEBYLEX', KEYS[2], '[' .. ARGV[4] .. '\n', '(' .. ARGV[4] .. '\11', 'LIMIT', 0, 1) == 0 then
  redis.call('ZREM', KEYS[3], ARGV[4])
elseif mine then
  redis.call('ZADD', KEYS[3], int(now_ms), ARGV[4])
end
return 1
