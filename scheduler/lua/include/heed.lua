-- What follows from marks for the rows that a lease meets: see include/marks.lua. `record` is a record's key without its
-- id.
local drops, heeded, counted, closed
do -- a script has 200 locals at the most: what only these need stays in here
local CLASS_OF_STEP = { ['0'] = 'urgent', ['3'] = 'high', ['6'] = 'normal', ['9'] = 'bulk' }

-- drops(mark, row, m, record): the row will never leave: its record says so, who wanted it and why.
function drops(mark, row, m, record)
  local key, at_ms = record .. row.id, int(math.floor(m.now_ms))
  local entry = cjson.encode({ at_ms = math.floor(m.now_ms), state = 'cancelled', by = mark.by, reason = mark.reason })
  local history = redis.call('HGET', key, 'history')
  redis.call('HSET', key, 'state', 'cancelled', 'number', m.held:match('^headway:(.+):held$'), 'class',
    CLASS_OF_STEP[row.step], 'changed_ms', at_ms, 'reason', tostring(mark.reason or ''), 'history',
    (history and history .. '\n' or '') .. entry)
  redis.call('EXPIRE', key, mark.ttl_s)
  m.rows = m.rows or {}
  m.rows[mark.id] = (m.rows[mark.id] or 0) + 1
end

-- parks(mark, row, raw, m, kept): the row waits aside until the mark ends; the envelope stands with the kept ones.
local function parks(mark, row, raw, m, kept)
  redis.call('HSET', kept, row.id, row.step .. raw)
  redis.call('RPUSH', m.held .. ':' .. mark.id .. ':' .. row.step, row.id)
  redis.call('HINCRBY', m.held, mark.id, 1)
end

-- heeded(t, row, raw, now): did a mark take this row, which is at the head of its lane, off it? A row that
-- can't leave anyway (expired, refused, of a later time) is dropped, but never held.
function heeded(t, row, raw, now)
  local m, record = t.marks, t.record
  local mark = m and first_met(m.drop, row, m, record)
  if mark then
    drops(mark, row, m, record)
    return true
  end
  mark = m and row.verdict == 'send' and row.not_before <= now and first_met(m.hold, row, m, record)
  if mark then
    parks(mark, row, raw, m, t.kept)
    row.aside = true
    return true
  end
  return false
end

-- counted(m): how many rows each drop has met so far stands beside it.
function counted(m)
  for id, rows in pairs(m and m.rows or {}) do
    redis.call('HINCRBY', m.key, id .. '.rows', rows)
  end
  if m then
    m.rows = nil
  end
end

-- closed(m, step, wait): is this class held whole? Its lane is passed over, and nothing of it moves.
function closed(m, step, wait)
  if not (m and (m.shut[step] or m.back and m.back[step])) then
    return false
  end
  wait[2] = 'held'
  return true
end
end
