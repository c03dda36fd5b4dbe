#!lua flags=allow-oom
-- sort: move messages from a number's lanes to the lanes of their recipients' shards.
-- Guarantee: no row is lost, doubled or passed by a later one of its lane and shard; safe to run twice, and by many at
-- once. It does nothing for who believes in another number of shards than the one in force, nor while rows of former
-- shards are still on their way back: those are older than what waits here.
-- KEYS[1..4] lanes of the number: urgent, high, normal, bulk (list)   KEYS[5] shards (hash)
-- KEYS[6] deferred (zset), KEYS[7] kept (hash), KEYS[8] due (hash, lists) of the number, from when it had one shard
-- KEYS[9] heads (hash), KEYS[10] lines (zset), KEYS[11] leased (hash) of the number, from when it had one shard
-- KEYS[12..] the four lanes of each shard in turn (list), and last held (hash, lists) of the number, from when it had one
--   shard: what is held comes back first, and is held again where it goes to
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] shards that the caller believes in   ARGV[3] rows at most
-- reply: {shards in force, or 0 while former ones are emptied; rows moved; 1 when more may wait, else 0}
-- @include now_us
-- @include int
-- @include lanes_by_step
-- @include base64
-- @include promote
-- @include shard_of
-- @include unline
-- @include bring_back
local state = redis.call('HMGET', KEYS[5], 'now', 'moving')
local shards = tonumber(ARGV[2])
if state[2] or tonumber(state[1] or 1) ~= shards then
  return { state[2] and 0 or tonumber(state[1] or 1), 0, 0 }
end
bring_back({ held = KEYS[#KEYS], active = {} }, lanes_by_step(), KEYS[7], true)
if redis.call('EXISTS', KEYS[#KEYS]) == 1 then
  return { shards, 0, 1 }
end
promote(KEYS[6], KEYS[7], KEYS[8], lanes_by_step(), now_us(ARGV[1]), true)
local room, moved, steps = tonumber(ARGV[3]), 0, { '0', '3', '6', '9' }
local o = { heads = KEYS[9], lines = KEYS[10], kept = KEYS[7], lanes = lanes_by_step() }
if not let_loose(o, KEYS[11]) then
  return { shards, 0, 1 }
end
-- Those of the unit's own time, one by one: who stood behind a head on its lane follows it.
for class = 1, redis.call('EXISTS', KEYS[9]) * 4 do
  local raw = room > 0 and redis.call('RPOP', KEYS[class])
  while raw do
    redis.call('LPUSH', KEYS[11 + shard_of(raw, shards) * 4 + class], raw)
    local place = head_on(o, steps[class], raw)
    if place then
      front_up(o, place)
    end
    room, moved = room - 1, moved + 1
    raw = room > 0 and redis.call('RPOP', KEYS[class])
  end
end
for class = 1, 4 do
  local raws = room > 0 and redis.call('LRANGE', KEYS[class], -room, -1) or {}
  local rows_of = {}
  for i = #raws, 1, -1 do
    local shard = shard_of(raws[i], shards)
    rows_of[shard] = rows_of[shard] or {}
    table.insert(rows_of[shard], raws[i])
  end
  for shard, rows in pairs(rows_of) do
    redis.call('LPUSH', KEYS[11 + shard * 4 + class], unpack(rows))
  end
  if #raws > 0 then
    redis.call('LTRIM', KEYS[class], 0, -1 - #raws)
  end
  room, moved = room - #raws, moved + #raws
end
return { shards, moved, room <= 0 and redis.call('EXISTS', unpack(KEYS, 1, 4)) > 0 and 1 or 0 }
