-- remember(history, entry): a message's history, JSON lines, with one more entry; the oldest make room for what is over
-- MOST_ENTRIES. Written off the happy path only. A row that goes back to its lane again and again, for nothing that is
-- wrong with it, has one entry for as long as it is for the same reason: {times, from_ms}.
local MOST_ENTRIES = 30
local function remember(history, entry)
  local lines = {}
  for line in (history or ''):gmatch('[^\n]+') do
    lines[#lines + 1] = line
  end
  local last = entry.state == 'waiting' and not entry.by and #lines > 0 and cjson.decode(lines[#lines])
  if last and last.state == entry.state and not last.by and last.code == entry.code then
    entry.times, entry.from_ms = (last.times or 1) + 1, last.from_ms or last.at_ms
    lines[#lines] = nil
  end
  lines[#lines + 1] = cjson.encode(entry)
  return table.concat(lines, '\n', math.max(1, #lines - MOST_ENTRIES + 1))
end
