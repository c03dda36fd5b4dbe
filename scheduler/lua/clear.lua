#!lua flags=allow-oom
-- clear: drop what a unit's drops meet without waiting for a lease: also of a number that is paused.
-- Guarantee: a few rows a call, never the middle of a list: of lanes only rows at the head, up to the first one that stays;
-- of what is parked (deferred, due, behind another one, uncertain and held for a person, held aside) any. Safe to run twice.
-- KEYS[1..4] lanes urgent, high, normal, bulk (list)   KEYS[5] marks (hash)   KEYS[6] held (hash), and its lists
-- KEYS[7] deferred (zset)   KEYS[8] uncertain (zset)   KEYS[9] kept (hash)   KEYS[10] leased (hash)
-- KEYS[11] heads (hash)   KEYS[12] lines (zset)   KEYS[13] due (hash); and the records (hash, TTL) of the rows
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] a record's key without its id   ARGV[3] where: lanes, deferred,
--   uncertain, lines, or the name of a list of ids: held or due ones   ARGV[4] rows to pass over   ARGV[5] rows at most
-- reply: {rows dropped, rows to pass over in the next call, 1 when there may be more}
-- @include now_us
-- @include int
-- @include lanes_by_step
-- @include base64
-- @include parse_time
-- @include plain
-- @include facts
-- @include marks
-- @include heed
-- @include promote
-- @include free
local now, record, where = now_us(ARGV[1]), ARGV[2], ARGV[3]
local skip, most = tonumber(ARGV[4]), tonumber(ARGV[5])
local m = marks_of(KEYS[5], KEYS[6], now)
if not m or #m.drop == 0 then
  return { 0, 0, 0 }
end
local ahead = {} -- of those that fell: whoever stands behind them goes on, once the lanes are trimmed
-- falls(raw, step): is this row dropped? Then its record says so.
local function falls(raw, step)
  local read, row = pcall(facts, raw, {})
  if not read then
    return false
  end
  row.step = row.step or step
  local mark = first_met(m.drop, row, m, record)
  if not mark or redis.call('HEXISTS', KEYS[10], row.id) == 1 then
    return false
  end
  drops(mark, row, m, record)
  ahead[#ahead + 1], ahead[#ahead + 2] = row.id, row.step .. raw
  return true
end
local dropped, more = 0, 0
if where == 'lanes' then
  for step, lane in pairs(lanes_by_step()) do
    local raws, gone = redis.call('LRANGE', lane, -most, -1), 0
    while gone < #raws and falls(raws[#raws - gone], step) do
      gone = gone + 1
    end
    if gone > 0 then
      redis.call('LTRIM', lane, 0, -1 - gone)
      passed(KEYS[13], step, gone) -- the next ones that are due may follow
    end
    dropped, more = dropped + gone, gone == most and 1 or more
  end
else
  local index = ({ deferred = KEYS[7], uncertain = KEYS[8], lines = KEYS[12] })[where]
  -- Of uncertain rows those that are held for a person stand below zero.
  local ids = where == 'uncertain' and redis.call('ZRANGE', index, '-inf', '(0', 'BYSCORE', 'LIMIT', skip, most)
    or index and redis.call('ZRANGE', index, skip, skip + most - 1)
    or redis.call('LRANGE', where, skip, skip + most - 1)
  local stay = 0
  for _, member in ipairs(ids) do
    local id = where == 'lines' and member:match('[^\n]*$') or member
    local raw = redis.call('HGET', KEYS[9], id)
    if raw and falls(raw:sub(2), raw:sub(1, 1)) then
      redis.call('HDEL', KEYS[9], id)
      dropped, stay = dropped + 1, stay + (index and redis.call('ZREM', index, member) == 1 and 0 or 1)
    else
      stay = stay + 1
    end
  end
  skip, more = skip + stay, #ids == most and 1 or 0
end
counted(m)
local o = { heads = KEYS[11], lines = KEYS[12], kept = KEYS[9], lanes = lanes_by_step() }
for i = 1, #ahead, 2 do
  free_kept(o, ahead[i], ahead[i + 1])
end
return { dropped, skip, more }
