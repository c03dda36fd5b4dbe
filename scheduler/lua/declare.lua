#!lua flags=allow-oom
-- declare: a process says which TPS its environment gives a number; while it lives, the lowest of all holds.
-- Guarantee: an entry goes 30 s after its process last said it; saying it twice changes nothing.
-- KEYS[1] declared (hash, TTL 30 s)
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] process   ARGV[3] TPS (thousandths)
-- ARGV[4] what else its environment says, for people to compare (JSON)
-- reply: the lowest TPS (thousandths)
-- @include now_us
-- @include int
-- @include declares
return (declares(KEYS[1], now_us(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]))
