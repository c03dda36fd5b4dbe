#!lua flags=allow-oom
-- rest: nothing of a number leaves for a while: its provider can't be reached. Its TPS stays as it is.
-- Guarantee: the number rests until the later of this and what was said before; so it is safe to run twice.
-- KEYS[1] throttle (hash, TTL)
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] the pause (us)
-- reply: until when it rests (us)
-- @include now_us
-- @include int
-- @include throttled
local now, pause = now_us(ARGV[1]), tonumber(ARGV[2])
local _, before = throttled(KEYS[1], now, 1000)
local rests = math.max(before, now + pause)
redis.call('HSET', KEYS[1], 'until', int(rests))
redis.call('PEXPIRE', KEYS[1], int(math.max(redis.call('PTTL', KEYS[1]), pause / 1000 + 60000)))
return int(rests)
