#!lua
-- outbox_store: keep something that came in for the app until the app takes it, in its contact's line.
-- Guarantee: kept once for each guard, however often it is asked; whoever asks about the guard later hears that it was
-- done. Its place in the line is by serial, not by when it was stored. On a full server it is refused whole.
-- KEYS[1] forwarded (string, TTL), the guard   KEYS[2] outbox (hash)   KEYS[3] lines (zset)   KEYS[4] due (zset)
-- KEYS[5] bytes (string)   KEYS[6] turns (zset, TTL)   KEYS[7] since (zset)
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] token that may have the contact's turn   ARGV[3] entry id
-- ARGV[4] contact   ARGV[5] its member of lines   ARGV[6] the entry: a line of JSON, then its body
-- ARGV[7] first try in (ms)   ARGV[8] the guard's time to live (s)   ARGV[9] bytes that the outbox may hold
-- ARGV[10] when it came (us)
-- reply: 1 it is kept, 0 it was done before, -1 the outbox is full
-- @include now_us
-- @include int
local guard = redis.call('GET', KEYS[1])
if guard and guard:sub(1, 5) == 'done:' or redis.call('HEXISTS', KEYS[2], ARGV[3]) == 1 then
  redis.call('SET', KEYS[1], guard and guard:sub(1, 5) == 'done:' and guard or 'done:{}', 'EX', ARGV[8])
  redis.call('ZREM', KEYS[6], ARGV[2])
  return 0
elseif tonumber(redis.call('GET', KEYS[5]) or 0) + #ARGV[6] > tonumber(ARGV[9]) then
  return -1
end
redis.call('HSET', KEYS[2], ARGV[3], ARGV[6])
redis.call('INCRBY', KEYS[5], #ARGV[6])
redis.call('ZADD', KEYS[3], 0, ARGV[5])
redis.call('ZADD', KEYS[7], ARGV[10], ARGV[3])
redis.call('ZADD', KEYS[4], 'NX', int(math.floor(now_us(ARGV[1]) / 1000) + ARGV[7]), ARGV[4])
redis.call('SET', KEYS[1], 'done:{}', 'EX', ARGV[8])
redis.call('ZREM', KEYS[6], ARGV[2])
return 1
