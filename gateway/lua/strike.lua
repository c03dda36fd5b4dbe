#!lua flags=allow-oom
-- strike: count a wrong token or key that an address gave; one too many locks the address out.
-- Guarantee: a strike with the same id counts once; a lockout is never shortened, and a repetition doesn't lengthen it.
-- KEYS[1] strikes of the address (zset, TTL ARGV[4])
-- KEYS[2] lockouts (zset, TTL ARGV[5])
-- ARGV[1] address   ARGV[2] id of the strike   ARGV[3] strikes that are let pass
-- ARGV[4] how long a strike counts (ms)   ARGV[5] how long a lockout lasts (ms)
-- reply: the milliseconds that the address is locked out from now on, 0: it isn't
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now_ms)
local known = redis.call('ZSCORE', KEYS[2], ARGV[1])
if known then
  return math.floor(tonumber(known) - now_ms)
end
redis.call('ZADD', KEYS[1], 'NX', now_ms, ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms - tonumber(ARGV[4]))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
if redis.call('ZCARD', KEYS[1]) <= tonumber(ARGV[3]) then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('ZADD', KEYS[2], now_ms + tonumber(ARGV[5]), ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return tonumber(ARGV[5])
