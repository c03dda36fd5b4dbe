-- @include free
-- What stands in lines when rows move to other units: see runtime/lua/free.lua. o as there.

-- head_on(o, step, raw): the place of an envelope on its lane if it is the head there, else nil.
local function head_on(o, step, raw)
  local read, place, id = pcall(function()
    local envelope = cjson.decode(raw)
    return place_of(step, recipient(raw)), envelope.headers.id
  end)
  if read and redis.call('HGET', o.heads, place) == id then
    return place
  end
end

-- stepped_out(o, member): the envelope of one that stood in a line, with its step; it stands there no more.
local function stepped_out(o, member)
  local id = member:match('^[^\n]*\n%d+\n(.*)$')
  local held = redis.call('HGET', o.kept, id)
  redis.call('HDEL', o.kept, id)
  redis.call('ZREM', o.lines, member)
  return held
end

-- last_of(o, place): the last one of a line, or of all lines when no place is given.
local function last_of(o, place)
  local from, to = place and '(' .. place .. '\11' or '+', place and '[' .. place .. '\n' or '-'
  return redis.call('ZRANGE', o.lines, from, to, 'BYLEX', 'REV', 'LIMIT', 0, 1)[1]
end

-- front_up(o, place): the first FRONT_UP of a line go to the head of their lane, in order; if more are left, the last of
-- these is their head. Returns how many it looked at.
local FRONT_UP = 200
local function front_up(o, place)
  local most = FRONT_UP
  local members = redis.call('ZRANGE', o.lines, '[' .. place .. '\n', '(' .. place .. '\11', 'BYLEX', 'LIMIT', 0, most)
  local raws = {}
  for i = #members, 1, -1 do
    local held = stepped_out(o, members[i])
    raws[#raws + 1] = held and held:sub(2) or nil
  end
  if #raws > 0 then
    redis.call('RPUSH', o.lanes[place:sub(1, 1)], unpack(raws))
  end
  local last = #members == most and members[most]:match('^[^\n]*\n%d+\n(.*)$')
  if last then
    redis.call('HSET', o.heads, place, last)
  else
    redis.call('HDEL', o.heads, place)
  end
  return #members
end

-- let_loose(o, leased): lines whose head is in flight, or to be tried again, or gone, wait for it no longer. False: after
-- AT_ONCE_ROWS there are more to look at, and what is on the lanes may be newer than they.
local AT_ONCE_PLACES, AT_ONCE_ROWS = 1000, 500
local function let_loose(o, leased)
  local after, rows = '', 0
  for _ = 1, redis.call('EXISTS', o.lines) * AT_ONCE_PLACES do
    local from = after == '' and '-' or '(' .. after .. '\11'
    local first = redis.call('ZRANGE', o.lines, from, '+', 'BYLEX', 'LIMIT', 0, 1)[1]
    if not first then
      return true
    elseif rows >= AT_ONCE_ROWS then
      return false
    end
    after = first:match('^[^\n]*')
    local head = redis.call('HGET', o.heads, after)
    if not head or redis.call('HEXISTS', o.kept, head) == 1 or redis.call('HEXISTS', leased, head) == 1 then
      rows = rows + front_up(o, after)
    end
  end
  return true
end
