#!lua flags=allow-oom
-- relieve: free recipients whose head is in no place any more: its lane was purged, or the server lost what it had.
-- Guarantee: a head that is leased, kept to be tried again or for a receipt, or on its lane, is left alone; nobody who
-- stands in a line is forgotten. Bounded: some hundred heads and lines a call. Safe to run twice, and by many.
-- KEYS[1..4] lanes urgent, high, normal, bulk (list)   KEYS[5] heads (hash)   KEYS[6] lines (zset)   KEYS[7] kept (hash)
-- KEYS[8] leased (hash)   KEYS[9] dead (zset)   KEYS[10] uncertain (zset)
-- ARGV[1] where to go on: cursor of the heads, 0 to begin   ARGV[2] place in the lines after which to go on, empty to begin
-- ARGV[3] doorbell (channel)   ARGV[4] unit
-- reply: {recipients freed, cursor, place}: with 0 and '' it has seen all
-- @include lanes_by_step
-- @include free
local LOOK, DEEP = 200, 1000
local o = { heads = KEYS[5], lines = KEYS[6], kept = KEYS[7], lanes = lanes_by_step() }
local freed, rows_on = 0, {}

-- on_lane(step, id): is it on its lane? Where more than DEEP rows wait nobody knows, and it counts as being there.
local function on_lane(step, id)
  local on = rows_on[step]
  if not on then
    on = { deep = redis.call('LLEN', o.lanes[step]) > DEEP }
    for _, raw in ipairs(on.deep and {} or redis.call('LRANGE', o.lanes[step], 0, -1)) do
      for text in raw:gmatch('"id"%s*:%s*"([^"]*)"') do
        on[text] = true
      end
    end
    rows_on[step] = on
  end
  return on.deep or on[id]
end

-- alive(place, id): is it in a place from which it will leave, or be freed?
local function alive(place, id)
  if redis.call('HEXISTS', KEYS[8], id) == 1 then
    return true
  elseif redis.call('HEXISTS', KEYS[7], id) == 1 then
    return not redis.call('ZSCORE', KEYS[9], id) and tonumber(redis.call('ZSCORE', KEYS[10], id) or 0) >= 0
  end
  return on_lane(place:sub(1, 1), id)
end

-- look(place, id): free the recipient if its head, `id`, is gone.
local function look(place, id)
  if not alive(place, id) then
    free(o, place, id)
    freed = freed + 1
  end
end

local cursor = '0'
if ARGV[2] == '' then
  local found = redis.call('HSCAN', KEYS[5], ARGV[1], 'COUNT', LOOK)
  cursor = found[1]
  local id_at, places = {}, {}
  for i = 1, #found[2], 2 do
    places[#places + 1], id_at[found[2][i]] = found[2][i], found[2][i + 1]
  end
  table.sort(places)
  for _, place in ipairs(places) do
    look(place, id_at[place])
  end
end
-- Then the lines, whose first one may have no head at all.
local after = ARGV[2]
for _ = 1, cursor == '0' and LOOK or 0 do
  local from = after == '' and '-' or '(' .. after .. '\11'
  local first = redis.call('ZRANGE', KEYS[6], from, '+', 'BYLEX', 'LIMIT', 0, 1)[1]
  after = first and first:match('^[^\n]*') or ''
  if not first then
    break
  elseif redis.call('HEXISTS', KEYS[5], after) == 0 then
    redis.call('HSET', KEYS[5], after, '')
    free(o, after, '')
    freed = freed + 1
  end
end
ring(o, ARGV[3], ARGV[4])
return { freed, cursor, after }
