-- These work on the KEYS and ARGV of receipts.lua: whose receipt is it?

-- early(found): its settle isn't here yet: it waits or is being sent, in whichever of its number's shards.
local function early(found)
  return waits(found.state)
end

-- number_of(unit): the number that a unit belongs to.
local function number_of(unit)
  return unit:match('^[^/]*')
end

-- find(id, record): {state, noted, number, push, reference, provider_id, request, begun_ms, group, first_ms, history} of our
-- message, or nil. Who published with a stock client has no record yet, but a row that a lease holds is ours.
local function find(id, record)
  local fields = redis.call('HMGET', record, 'state', 'number', 'push', 'reference', 'provider_id', 'receipt',
    'push_id', 'begun_ms', 'group', 'first_ms', 'history')
  if not fields[1] and redis.call('HEXISTS', KEYS[1], id) == 0 then
    return nil
  end
  return { state = fields[1] or 'waiting', number = fields[2] or ARGV[2], push = fields[3] or '',
    reference = fields[4] or '', provider_id = fields[5], noted = fields[6], request = fields[7],
    begun_ms = tonumber(fields[8]), group = fields[9], first_ms = fields[10], history = fields[11] }
end

-- took(found, now_ms): how long since its send began (ms, with a `g` before it for a group's), or '' when nobody knows.
local function took(found, now_ms)
  local ms = found.begun_ms and int(math.max(0, now_ms - found.begun_ms)) or ''
  return (found.group and 'g' or '') .. ms
end

-- echoed(receipt, found, now_ms): something came back of the request that carried this message.
local function echoed(receipt, found, now_ms)
  if receipt.state ~= '' and found.request and redis.call('ZREM', KEYS[4], found.request) == 1 then
    redis.call('ZADD', KEYS[4], int(now_ms * 1000), 'echo')
    redis.call('EXPIRE', KEYS[4], 3600)
  end
end
