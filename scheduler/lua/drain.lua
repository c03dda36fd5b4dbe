#!lua flags=allow-oom
-- drain: move what waits in a unit that is no longer in force back to the head of its number's lanes.
-- Guarantee: rows keep their order and stand before what came later; whatever is interrupted, none is lost. What is
-- deferred comes when its time does. A unit that is in force is left alone. Who stands behind another one goes with it, and
-- is no longer held up by one that is in flight.
-- KEYS[1..4] lanes of the number: urgent, high, normal, bulk (list)   KEYS[5] shards (hash)
-- KEYS[6..9] lanes of the unit (list)   KEYS[10] deferred (zset), KEYS[11] kept (hash), KEYS[12] due (hash, lists) of the unit
-- KEYS[13] heads (hash), KEYS[14] lines (zset), KEYS[15] held (hash, lists) of the unit: what is held comes back first, and
--   is held again where it goes to
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] shards that the unit was one of   ARGV[3] rows at most
-- reply: {rows moved, 1 when more wait, else 0}
-- @include now_us
-- @include int
-- @include promote
-- @include unline
-- @include bring_back
if tonumber(redis.call('HGET', KEYS[5], 'now') or 1) == tonumber(ARGV[2]) then
  return { 0, 0 }
end
local own = { ['0'] = KEYS[6], ['3'] = KEYS[7], ['6'] = KEYS[8], ['9'] = KEYS[9] }
bring_back({ held = KEYS[15], active = {} }, own, KEYS[11], true)
if redis.call('EXISTS', KEYS[15]) == 1 then
  return { 0, 1 }
end
local more = promote(KEYS[10], KEYS[11], KEYS[12], own, now_us(ARGV[1]), true)
local room, steps, class_of = tonumber(ARGV[3]), { '0', '3', '6', '9' }, { ['0'] = 1, ['3'] = 2, ['6'] = 3, ['9'] = 4 }
local o = { heads = KEYS[13], lines = KEYS[14], kept = KEYS[11] }
local lined = redis.call('EXISTS', KEYS[13], KEYS[14]) > 0
-- behind(place): the last one of a line moves, or of all lines; false: there is none.
local function behind(place)
  local last = last_of(o, place)
  local held = last and stepped_out(o, last)
  if held then
    redis.call('RPUSH', KEYS[class_of[held:sub(1, 1)]], held:sub(2))
  end
  return last
end
for class = 1, 4 do
  -- The last in line first, so that the oldest ends up at the very head.
  while room > 0 do
    local raw = lined and redis.call('LINDEX', KEYS[5 + class], 0)
    local place = raw and head_on(o, steps[class], raw)
    if not (place and behind(place)) then
      if place then
        redis.call('HDEL', KEYS[13], place)
      end
      if not redis.call('LMOVE', KEYS[5 + class], KEYS[class], 'LEFT', 'RIGHT') then
        break
      end
    end
    room = room - 1
  end
end
while lined and room > 0 and behind() do
  room = room - 1
end
return { tonumber(ARGV[3]) - room, (more or redis.call('EXISTS', KEYS[14], unpack(KEYS, 6, 9)) > 0) and 1 or 0 }
