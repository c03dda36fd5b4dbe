-- The first text that a contact gets in a window costs as little as can be, because nearly every one is a first: a cell of
-- a string, not a field of a tally. A contact has the cell of its number, modulo cells; who finds something in it is
-- written down in the tally, as a second text is.
-- A cell, 32 bits, 0 for none: print of the text (12, from 1), when it left in its turn (10), print of the id (10).
-- IN_TALLY: all is in the tally, since its first one is in the cell of the turn before.
-- The strings `<base>:first:0` and `:1` take turns as the tally's hashes do, and are cleared with them.
local FIRST, IN_TALLY, TEXTS, TICKS, IDS = ':first:', 1, 4095, 1024, 1024

-- print_of(text): 1 to TEXTS, mostly another one for another text.
local function print_of(text)
  local n = #text
  local a, b, c = text:byte(n - 2, n)
  local middle, quarter = text:byte(math.floor(n / 2)) or 0, text:byte(math.floor(n / 4)) or 0
  return (((((n * 31 + (a or 0)) * 31 + (b or 0)) * 31 + (c or 0)) * 31 + middle) * 31 + quarter) % TEXTS + 1
end

-- print_of_id(id): 0 to IDS - 1.
local function print_of_id(id)
  return (tonumber(id:sub(-4), 16) or tonumber(redis.sha1hex(id):sub(1, 4), 16)) % IDS
end

-- told(cell, turn, y): what a cell says, as {ms, print of the id, print of the text}.
local function told(cell, turn, y)
  local at = turn * y.window_ms + math.floor(cell / IDS) % TICKS * y.window_ms / TICKS
  return { math.floor(at), cell % IDS, math.floor(cell / (IDS * TICKS)) }
end

-- first_ones(y, base, rows, cells): begins the turn, if it has to; returns for each row what stands in its cells already,
-- {{ms, print of the id, print of the text}, ...}, or nil: it is the first one, and stands there now.
local function first_ones(y, base, rows, cells)
  local this, last = base .. FIRST .. y.turn % 2, base .. FIRST .. (y.turn + 1) % 2
  local gets, sets, found, n = {}, {}, {}, 0
  for i, row in ipairs(rows) do
    local cell = (tonumber(row.to) or tonumber(redis.sha1hex(row.to):sub(1, 8), 16)) % cells
    gets[3 * i - 2], gets[3 * i - 1], gets[3 * i] = 'GET', 'u32', '#' .. cell
  end
  begin_turn(y, this)
  local now, before = redis.call('BITFIELD_RO', this, unpack(gets)), y.speaks and redis.call('BITFIELD_RO', last, unpack(gets))
  local tick = math.floor(y.now_ms % y.window_ms * TICKS / y.window_ms) * IDS
  for i, row in ipairs(rows) do
    local earlier = before and before[i] or 0
    if now[i] > 0 or earlier > 0 then
      found[i] = { earlier > 0 and told(earlier, y.turn - 1, y) or nil }
      table.insert(found[i], now[i] > 0 and told(now[i], y.turn, y) or nil)
    end
    if now[i] == 0 then
      local first = print_of(text_of(row)) * (IDS * TICKS) + tick + print_of_id(row.id)
      sets[n + 1], sets[n + 2], sets[n + 3], sets[n + 4] = 'SET', 'u32', gets[3 * i], found[i] and IN_TALLY or first
      n = n + 4
    end
  end
  if n > 0 then
    redis.call('BITFIELD', this, unpack(sets))
    redis.call('PEXPIRE', this, int(2 * y.window_ms + 60000))
  end
  return found
end
