-- The loop guard: more than so many sends of one text to a contact in a window, and the contact rests from that text for
-- as long. The sorted set `resting` has, by millisecond: a text for which one more would be too much, until when; and
-- `rest <text>`, until when it rests. Nothing is looked at there while it is empty. Rests are counted in the meter, KEYS[7]
-- of lease.lua.

-- text_of(row): what it says, as far as rows of one shape differ.
local function text_of(row)
  local text, values = row.kwargs.text, row.kwargs.template_values
  if type(text) ~= 'string' then
    text = given(values) and cjson.encode(values) or ''
  end
  return text
end
-- @include first

-- says(row): a short name for whom it is for and what it says.
local function says(row)
  return redis.sha1hex(row.to .. row.shape .. text_of(row)):sub(1, 16)
end

-- rests(h, row, now): until when its contact rests from it (us); 0: it doesn't.
local function rests(h, row, now)
  if h.any_rest == nil then
    h.any_rest = redis.call('EXISTS', h.resting) == 1
  end
  if not h.any_rest then
    return 0
  end
  local what, now_ms, longest = says(row), math.floor(now / 1000), h.guard.window_ms
  local found = redis.call('ZMSCORE', h.resting, what, 'rest ' .. what)
  local full, until_ms = tonumber(found[1] or 0), tonumber(found[2] or 0)
  if until_ms > now_ms and until_ms <= now_ms + longest then
    return until_ms * 1000
  elseif full > now_ms and full <= now_ms + longest then
    until_ms = now_ms + longest
    redis.call('ZADD', h.resting, int(until_ms), 'rest ' .. what)
    redis.call('PEXPIRE', h.resting, int(longest + 60000))
    redis.call('HINCRBY', KEYS[7], 'rested', 1)
    return until_ms * 1000
  end
  return 0
end

-- with_firsts(y, row, found, firsts): when its text left before, in order: as the tally says, and as the cells say of what
-- the tally doesn't know. A message that was taken back and leaves again is no second one.
local function with_firsts(y, row, found, firsts)
  local known, all, said = { [print_of_id(row.id)] = true }, {}, print_of(text_of(row))
  for i, one in ipairs(found) do
    known[print_of_id(one[2])], all[i] = true, one[1]
  end
  for _, first in ipairs(firsts) do
    if first[3] == said and not known[first[2]] and first[1] > y.now_ms - y.window_ms and first[1] <= y.now_ms then
      all[#all + 1] = first[1]
    end
  end
  table.sort(all)
  return all
end

-- note_texts(h, now): these rows leave. One whose contact got nothing lately stands in its cell alone.
local function note_texts(h, now)
  local y, most, names, again = tally(h.resting, h.guard.window_ms, now), h.guard.most, {}, {}
  local firsts = first_ones(y, h.resting, h.leaving, h.cells)
  for i, row in ipairs(h.leaving) do
    if firsts[i] then
      names[#names + 1], again[#again + 1] = says(row), i
    end
  end
  if #names == 0 then
    return
  end
  local before, full, fields = tallied(y, names), {}, {}
  for n, i in ipairs(again) do
    local row = h.leaving[i]
    local found = times(before[n], y.now_ms - y.window_ms, y.now_ms, row.id)
    local all = with_firsts(y, row, found, firsts[i])
    found[#found + 1], all[#all + 1] = { y.now_ms, row.id }, y.now_ms
    fields[2 * n - 1], fields[2 * n] = names[n], written(found, most)
    if #all >= most then
      full[#full + 1], full[#full + 2] = int(all[#all - most + 1] + y.window_ms), names[n]
    end
  end
  tell(y, fields)
  if #full > 0 then
    redis.call('ZREMRANGEBYSCORE', h.resting, '-inf', int(y.now_ms))
    redis.call('ZADD', h.resting, unpack(full))
    redis.call('PEXPIRE', h.resting, int(y.window_ms + 60000))
  end
end
