#!lua flags=allow-oom
-- outbox_due: whose line may be tried now?
-- Guarantee: only looks. Nothing is taken: `outbox_take` does that, contact by contact.
-- KEYS[1..] due (zset), one for each number
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] contacts of one number at most
-- reply: for each key a list of contacts, the one that waits longest first
-- @include now_us
-- @include int
local now_ms = int(math.floor(now_us(ARGV[1]) / 1000))
local found = {}
for i = 1, #KEYS do
  found[i] = redis.call('ZRANGEBYSCORE', KEYS[i], '-inf', now_ms, 'LIMIT', 0, ARGV[2])
end
return found
