-- The loop guard: more than so many sends of one text to a contact in a window, and the contact rests from that text for
-- as long. The sorted set `resting` has, by millisecond: a text for which one more would be too much, until when; and
-- `rest <text>`, until when it rests. Nothing is looked at there while it is empty. Rests are counted in the meter, KEYS[7]
-- of lease.lua.

-- says(row): a short name for whom it is for and what it says.
local function says(row)
  local text, values = row.kwargs.text, row.kwargs.template_values
  if type(text) ~= 'string' then
    text = given(values) and cjson.encode(values) or ''
  end
  return redis.sha1hex(row.to .. row.shape .. text):sub(1, 16)
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

-- note_texts(h, now): these rows leave; h.leaving: what each says, h.leaving_ids: the end of each one's id.
-- Nearly every text is new to its contact, so that way is the short one.
local function note_texts(h, now)
  local y, names, fields = tally(h.resting, h.guard.window_ms, now), h.leaving, {}
  local before, full, stamp = tallied(y, names), {}, int(y.now_ms) .. ':'
  for i, name in ipairs(names) do
    local text, id = before[i], h.leaving_ids[i]
    fields[2 * i - 1], fields[2 * i] = name, stamp .. id
    if text then
      local found = times(text, y.now_ms - h.guard.window_ms, y.now_ms, id)
      found[#found + 1] = { y.now_ms, id }
      fields[2 * i] = written(found, h.guard.most)
      if #found >= h.guard.most then
        full[#full + 1] = int(found[#found - h.guard.most + 1][1] + h.guard.window_ms)
        full[#full + 1] = name
      end
    end
  end
  tell(y, fields)
  if #full > 0 then
    redis.call('ZREMRANGEBYSCORE', h.resting, '-inf', int(y.now_ms))
    redis.call('ZADD', h.resting, unpack(full))
    redis.call('PEXPIRE', h.resting, int(h.guard.window_ms + 60000))
  end
end
