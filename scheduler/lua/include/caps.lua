-- Caps: how many messages of a class or with a tag one contact gets at most in a window.
-- A cap: {of (`tag:x` or `class:x`), step, tag, most, window_ms, drop, text}. A message counts from its lease on, once,
-- however often it is tried; one that never leaves (its record says so) doesn't count.
local NEVER_LEFT = { dead = true, expired = true, cancelled = true, capped = true, discarded = true }

local function left(record, id)
  local found = redis.call('HMGET', record .. id, 'state', 'attempts')
  return not (NEVER_LEFT[found[1]] and (found[2] or '0') == '0')
end

local function concerns(cap, row)
  return cap.step == row.step or cap.tag and cap.tag == row.kwargs.tag
end

-- written_of(h, name, now): what is written of a contact, with what this lease adds; looked up once a call.
local function written_of(h, name, now)
  h.tally, h.found = h.tally or tally(h.capped, h.longest_ms, now), h.found or {}
  if not h.counting[name] then
    h.found[name] = h.found[name] or tallied(h.tally, { name })[1] or ''
  end
  return h.counting[name] or h.found[name]
end

-- counted_of(h, cap, row, now): the times that count against a row, the oldest first. A flood to one contact asks the same
-- for each row: the last answer serves for as long as nothing is added, for rows that aren't in it.
local function counted_of(h, cap, row, now)
  local name = cap.of .. '\n' .. row.to
  local found, last = written_of(h, name, now), cap.last
  if last and last.name == name and last.found == found and not found:find(':' .. row.id, 1, true) then
    return last.counting
  end
  local counting = times(found, h.tally.now_ms - cap.window_ms, h.tally.now_ms, row.id)
  for i = #counting, 1, -1 do
    if #counting >= cap.most and not left(h.record, counting[i][2]) then
      table.remove(counting, i)
    end
  end
  cap.last = not found:find(':' .. row.id, 1, true) and { name = name, found = found, counting = counting } or nil
  return counting
end

-- cap(h, row, now): change the verdict of a row that is too much, or its time.
local function cap(h, row, now)
  for _, one in ipairs(h.caps) do
    local counting = concerns(one, row) and counted_of(h, one, row, now) or {}
    if #counting >= one.most then
      if one.drop then
        row.verdict = 'capped: ' .. one.text
        return
      end
      row.not_before = math.max(row.not_before, (counting[#counting - one.most + 1][1] + one.window_ms) * 1000)
    end
  end
end

-- count(h, row, now): it leaves.
local function count_caps(h, row, now)
  for _, one in ipairs(h.caps) do
    if concerns(one, row) then
      local name = one.of .. '\n' .. row.to
      local found = times(written_of(h, name, now), h.tally.now_ms - h.longest_ms, h.tally.now_ms, row.id)
      found[#found + 1] = { h.tally.now_ms, row.id }
      h.counting[name] = written(found, h.most)
    end
  end
end
