#!lua flags=allow-oom
-- agree: a process says how many shards its environment gives a number; the fewest that a living process says hold,
-- because each shard has the whole TPS.
-- Guarantee: a number that never had more than one shard gets no key. A process that has declared its TPS and said
-- nothing here means one shard; what a process said is forgotten with its declaration. A change is in force at once, and
-- `moving` until somebody has found the former units empty.
-- KEYS[1] shards (hash)   KEYS[2] declared (hash, TTL)
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] process   ARGV[3] its shards
-- ARGV[4] the shards in force when the caller found all former units empty, or 0
-- reply: {shards in force, 1 while moving, then each number of shards ever used}
-- @include now_us
-- @include int
local now, ours, shards = now_us(ARGV[1]), tonumber(ARGV[3]), KEYS[1]
if ours == 1 and redis.call('EXISTS', shards) == 0 then
  return { 1, 0, 1 }
end
local said, used, was, moving = {}, {}, 1, false
local fields = redis.call('HGETALL', shards)
for i = 1, #fields, 2 do
  local field, value = fields[i], fields[i + 1]
  if field == 'now' then
    was = tonumber(value)
  elseif field == 'moving' then
    moving = true
  elseif field:sub(1, 2) == 'p:' then
    said[field:sub(3)] = tonumber(value)
  else
    used[field] = true
  end
end
local fewest, living = ours, { [ARGV[2]] = true }
local declared = redis.call('HGETALL', KEYS[2])
for i = 1, #declared, 2 do
  local ends = declared[i + 1]:match('^%d+ (%d+)')
  if ends and tonumber(ends) > now and declared[i] ~= ARGV[2] then
    living[declared[i]], fewest = true, math.min(fewest, said[declared[i]] or 1)
  end
end
for process in pairs(said) do
  if not living[process] then
    redis.call('HDEL', shards, 'p:' .. process)
  end
end
redis.call('HSET', shards, 'p:' .. ARGV[2], int(ours))
if fewest ~= was then
  redis.call('HSET', shards, 'now', int(fewest), 'moving', '1', '1', '1', int(was), '1', int(fewest), '1')
  used['1'], used[int(was)], used[int(fewest)], moving = true, true, true, true
elseif moving and tonumber(ARGV[4]) == fewest then
  redis.call('HDEL', shards, 'moving')
  moving = false
end
local reply = { fewest, moving and 1 or 0 }
for count in pairs(used) do
  reply[#reply + 1] = tonumber(count)
end
return reply
