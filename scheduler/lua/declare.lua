#!lua flags=allow-oom
-- declare: a process says which TPS its environment gives a number; while it lives, the lowest of all holds.
-- Guarantee: an entry goes 30 s after its process last said it; saying it twice changes nothing.
-- KEYS[1] declared (hash, TTL 30 s)
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] process   ARGV[3] TPS (thousandths)
-- ARGV[4] what else its environment says, for people to compare (JSON)
-- reply: the lowest TPS (thousandths)
-- @include now_us
-- @include int
local TTL_US = 30000000
local now = now_us(ARGV[1])
local lowest = tonumber(ARGV[3])
local entries = redis.call('HGETALL', KEYS[1])
for i = 1, #entries, 2 do
  local tps, ends = entries[i + 1]:match('^(%d+) (%d+)')
  if tps and entries[i] ~= ARGV[2] then
    if tonumber(ends) <= now then
      redis.call('HDEL', KEYS[1], entries[i])
    else
      lowest = math.min(lowest, tonumber(tps))
    end
  end
end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3] .. ' ' .. int(now + TTL_US) .. ' ' .. ARGV[4], 'lowest', int(lowest))
redis.call('PEXPIRE', KEYS[1], int(TTL_US / 1000))
return lowest
