-- remember(history, entry): a message's history, JSON lines, with one more entry; the oldest make room for what is over
-- MOST_ENTRIES. Written off the happy path only: what a message is told in its fields costs nothing here.
local MOST_ENTRIES = 30
local function remember(history, entry)
  local lines = {}
  for line in (history or ''):gmatch('[^\n]+') do
    lines[#lines + 1] = line
  end
  lines[#lines + 1] = cjson.encode(entry)
  return table.concat(lines, '\n', math.max(1, #lines - MOST_ENTRIES + 1))
end
