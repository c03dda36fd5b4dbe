#!lua flags=allow-oom
-- declare_all: a process says of many numbers what `declare` says of one; a pool of a thousand would else run a thousand
-- scripts every ten seconds.
-- Guarantee: as declare.
-- KEYS    two for each number: declared (hash, TTL 30 s), settings (hash)
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] process
-- ARGV[3..] two for each number: TPS (thousandths), what else its environment says (JSON)
-- reply: two for each number: the lowest TPS (thousandths), and 1 when somebody said something else: another process in
--   its declaration, or a person in the settings; else 0
-- @include now_us
-- @include int
-- @include declares
local now, reply = now_us(ARGV[1]), {}
for i = 1, #KEYS, 2 do
  local lowest, differs = declares(KEYS[i], now, ARGV[2], ARGV[i + 2], ARGV[i + 3])
  reply[i], reply[i + 1] = lowest, (differs or redis.call('EXISTS', KEYS[i + 1]) == 1) and 1 or 0
end
return reply
