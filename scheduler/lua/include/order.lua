-- @include free
-- Order to one recipient, as a lease sees it: these work on the KEYS of lease.lua. What is ahead, and what follows when
-- it is gone, stands in runtime/lua/free.lua.
-- `t.heads`: is any message ahead of anything; t.mine: place -> id, of the heads that this lease makes; t.gone: heads whose
-- recipients are to be freed once the lanes are trimmed.

-- ahead_of(t, row): the id of the message that is ahead for this row's recipient in its lane, or nil.
local function ahead_of(t, row)
  if row.to == '' then
    return nil
  end
  row.place = row.place or place_of(row.step, row.to)
  if row.known == nil then
    row.known = t.heads and redis.call('HGET', KEYS[24], row.place)
  end
  return t.mine[row.place] or row.known or nil
end

-- stands_behind(t, row, raw): is another message ahead of this one? Then it goes behind it.
local function stands_behind(t, row, raw)
  local head = ahead_of(t, row)
  if not head or head == row.id then
    return false
  end
  local serial = redis.call('HINCRBY', KEYS[7], 'line', 1)
  redis.call('HSET', KEYS[13], row.id, row.step .. raw)
  redis.call('ZADD', KEYS[25], 0, row.place .. '\n' .. string.format('%020.0f', serial) .. '\n' .. row.id)
  return true
end

-- heads(t, row, sends, ordered): this row joins the lease; whom it is ahead of, as the lease's record says it: nil when
-- it isn't ahead of anybody, as in a class without order.
local function heads(t, row, sends, ordered)
  local is_ahead = (ordered or t.heads) and (ahead_of(t, row) == row.id or sends and ordered)
  if not is_ahead or not row.place then
    return nil
  end
  t.mine[row.place] = row.id
  return row.place:sub(3)
end

-- dropped(t, row): the row was dropped on the way, unless it is kept somewhere; those behind it go on. So do they when a
-- person holds it aside.
local function dropped(t, row)
  if t.heads and ahead_of(t, row) == row.id and (row.aside or redis.call('HEXISTS', KEYS[13], row.id) == 0) then
    t.gone[#t.gone + 1] = { row.place, row.id }
  end
end

-- go_ahead(t): the heads that this lease made stand written.
local function go_ahead(t)
  local flat = {}
  for place, id in pairs(t.mine) do
    flat[#flat + 1], flat[#flat + 2] = place, id
  end
  if #flat > 0 then
    redis.call('HSET', KEYS[24], unpack(flat))
  end
end

-- go_on(t): heads that are gone are followed; once the lanes are trimmed, for they get rows here.
local function go_on(t)
  local o = { heads = KEYS[24], lines = KEYS[25], kept = KEYS[13], lanes = lanes_by_step() }
  for _, one in ipairs(t.gone) do
    if t.mine[one[1]] ~= one[2] then
      free(o, one[1], one[2])
    end
  end
end
