#!lua flags=allow-oom
-- drain: move what waits in a unit that is no longer in force back to the head of its number's lanes.
-- Guarantee: rows keep their order and stand before what came later; whatever is interrupted, none is lost. What is
-- deferred comes when its time does. A unit that is in force is left alone.
-- KEYS[1..4] lanes of the number: urgent, high, normal, bulk (list)   KEYS[5] shards (hash)
-- KEYS[6..9] lanes of the unit (list)   KEYS[10] deferred (zset), KEYS[11] kept (hash), KEYS[12] due (hash, lists) of the unit
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] shards that the unit was one of   ARGV[3] rows at most
-- reply: {rows moved, 1 when more wait, else 0}
-- @include now_us
-- @include int
-- @include promote
if tonumber(redis.call('HGET', KEYS[5], 'now') or 1) == tonumber(ARGV[2]) then
  return { 0, 0 }
end
local more = promote(KEYS[10], KEYS[11], KEYS[12], { ['0'] = KEYS[6], ['3'] = KEYS[7], ['6'] = KEYS[8], ['9'] = KEYS[9] }, now_us(ARGV[1]),
  true)
local room = tonumber(ARGV[3])
for class = 1, 4 do
  -- The last in line first, so that the oldest ends up at the very head.
  while room > 0 and redis.call('LMOVE', KEYS[5 + class], KEYS[class], 'LEFT', 'RIGHT') do
    room = room - 1
  end
end
return { tonumber(ARGV[3]) - room, (more or redis.call('EXISTS', unpack(KEYS, 6, 9)) > 0) and 1 or 0 }
