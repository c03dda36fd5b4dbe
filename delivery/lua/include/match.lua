-- find and apply work on the KEYS and ARGV of receipts.lua: whose receipt is it, and what does it change?

-- early(found): its settle isn't here yet: it waits or is being sent, in whichever of its number's shards.
local function early(found)
  return found.state == 'waiting' or found.state == 'deferred'
end

-- number_of(unit): the number that a unit belongs to.
local function number_of(unit)
  return unit:match('^[^/]*')
end

-- find(id, record): {state, noted, number, push, reference, provider_id, request, begun_ms, group} of our message, or nil. Who published with a
-- stock client has no record yet, but a row that a lease holds is ours.
local function find(id, record)
  local fields = redis.call('HMGET', record, 'state', 'number', 'push', 'reference', 'provider_id', 'receipt',
    'push_id', 'begun_ms', 'group')
  if not fields[1] and redis.call('HEXISTS', KEYS[1], id) == 0 then
    return nil
  end
  return { state = fields[1] or 'waiting', number = fields[2] or ARGV[2], push = fields[3] or '',
    reference = fields[4] or '', provider_id = fields[5], noted = fields[6], request = fields[7],
    begun_ms = tonumber(fields[8]), group = fields[9] }
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

-- apply(receipt, found, from, now_ms): write down what it changes; returns the new state, or ''.
local function apply(receipt, found, from, now_ms)
  local state, record = receipt.state, receipt.record
  local is_early = early(found)
  if state == '' or is_early and found.noted and not from[state][found.noted]
    or not is_early and not from[state][found.state] then
    return ''
  end
  -- A row that waits or is being sent: its settle isn't here yet, and will find this.
  redis.call('HSET', record, is_early and 'receipt' or 'state', state, 'number', ARGV[2], 'changed_ms', now_ms)
  if found.state == 'uncertain' then
    unkeep(receipt.id, KEYS[2], KEYS[3])
    redis.call('HDEL', record, 'code', 'reason')
  end
  if receipt.provider_id ~= '' and not found.provider_id then
    redis.call('HSET', record, 'provider_id', receipt.provider_id)
  end
  for _, name in ipairs({ 'code', 'reason' }) do
    if receipt[name] ~= '' then
      redis.call('HSET', record, name, receipt[name])
    end
  end
  redis.call('EXPIRE', record, ARGV[3])
  return is_early and '' or state
end
