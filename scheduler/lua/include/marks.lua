-- What persons said of some of a number's messages: these work on nothing but their arguments.
-- A mark is JSON in the hash `marks`, by its id: {what: hold|drop|drain, step, campaign, tag, to, before_ms, at_ms,
-- until_ms, ttl_s, and who, from where and why}. A message that isn't on a lane is looked at when it comes to one.
local marks_of, first_met
do -- a script has 200 locals at the most: what only these need stays in here
-- readable(text): the mark, or nil for what can't be one: it may have been written by hand.
local function number_or_nil(value)
  return value == nil or type(value) == 'number'
end
local function readable(text)
  local read, mark = pcall(cjson.decode, text)
  if not read or type(mark) ~= 'table' or type(mark.at_ms) ~= 'number' or not number_or_nil(mark.until_ms)
    or not number_or_nil(mark.before_ms) then
    return nil
  end
  return (mark.what ~= 'drop' or mark.before_ms and type(mark.ttl_s) == 'number') and mark or nil
end

-- marks_of(key, held, now): nil when nothing was said, or:
-- {key, held, drop, hold (marks that meet some rows), shut (step -> its class is held whole), active (id -> hold), over
-- (marks whose time has passed), ends (us: when the first hold or drop does, or nil), now_ms}
function marks_of(key, held, now)
  if redis.call('EXISTS', key, held) == 0 then
    return nil
  end
  local m = { key = key, held = held, drop = {}, hold = {}, shut = {}, active = {}, over = {}, now_ms = now / 1000 }
  local found = redis.call('HGETALL', key)
  for i = 1, #found, 2 do
    local mark = readable(found[i + 1])
    if mark then
      mark.id = found[i]
      local ends = mark.until_ms and mark.until_ms * 1000
      if ends and ends <= now then
        m.over[#m.over + 1] = mark
      elseif mark.what == 'drop' then
        m.drop[#m.drop + 1] = mark
      elseif mark.what == 'hold' then
        m.active[mark.id] = true
        m.ends = ends and math.min(ends, m.ends or ends) or m.ends
        if mark.step and not (mark.campaign or mark.tag or mark.to or mark.before_ms) then
          m.shut[mark.step] = true
        else
          m.hold[#m.hold + 1] = mark
        end
      end
    end
  end
  return m
end

-- accepted_before(mark, id, m, record): was it accepted, or tried anew by a person, by then? What a plain Celery app
-- published has no record: when it came nobody knows. Such a row counts as accepted before a drop for a minute after
-- it, or if it is of the campaign or has the tag that the drop is for.
local YOUNG_MS = 60000
local function accepted_before(mark, id, m, record)
  local times = redis.call('HMGET', record .. id, 'retried_ms', 'accepted_ms')
  local at = tonumber(times[1] or times[2] or nil)
  if at then
    return at <= mark.before_ms
  end
  return mark.before_ms >= mark.at_ms and (mark.campaign or mark.tag or m.now_ms - mark.at_ms < YOUNG_MS) and true or false
end

-- meets(mark, row, m, record): is the mark about this row? `row`: as `facts` gives it, with its step; `record`: a
-- record's key without its id.
local function meets(mark, row, m, record)
  if mark.step and mark.step ~= row.step or mark.to and mark.to ~= row.to then
    return false
  end
  if mark.campaign or mark.tag then
    if not row.kwargs then
      local read, body = pcall(cjson.decode, row.body)
      row.kwargs = read and type(body) == 'table' and type(body[2]) == 'table' and body[2] or {}
    end
    if mark.campaign and mark.campaign ~= row.kwargs.campaign or mark.tag and mark.tag ~= row.kwargs.tag then
      return false
    end
  end
  return not mark.before_ms or accepted_before(mark, row.id, m, record)
end

-- first_met(marks, row, m, record): the first of these marks that is about this row, or nil.
function first_met(marks, row, m, record)
  for _, mark in ipairs(marks) do
    if meets(mark, row, m, record) then
      return mark
    end
  end
end
end
