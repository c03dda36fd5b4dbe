-- place and its like work on the KEYS and ARGV of settle.lua: where a row's envelope goes with its new state.

-- said(from, most, fields): what the provider said of a row, which stands at ARGV[from] and after, for its record.
local SAID = { 'provider_id', 'push_id', 'code', 'reason' }
local function said(from, most, fields)
  for n = 1, most do
    local text = ARGV[from + n - 1]
    if text ~= '' then
      fields[#fields + 1], fields[#fields + 2] = SAID[n], text
    end
  end
end

-- over(state, try): why a row isn't tried again that should be: too often, or for too long; a row that was taken back
-- without leaving burns no attempt, but its time runs.
local function over(state, try)
  if state == 'deferred' and try.attempts >= tonumber(ARGV[6]) then
    return 'attempts'
  elseif (state == 'deferred' or state == 'waiting') and try.now_ms - try.since_ms >= tonumber(ARGV[7]) then
    return 'time'
  end
end

-- place(state, id, held, try, fields, back): the envelope's new place; returns the state, which is dead when its tries are
-- over. An envelope lives on while somebody may still send it; `back` gathers those for the head of their lanes.
-- A pause doubles with each attempt, to an hour at the most.
local function place(state, id, held, try, fields, back)
  local at = try.now_ms
  try.gave_up = over(state, try)
  if try.gave_up then
    state = 'dead'
  elseif state == 'deferred' then
    at = at + math.min(3600000, try.retry_ms * 2 ^ math.max(0, try.attempts - 1))
    fields[#fields + 1], fields[#fields + 2] = 'until_ms', int(at)
  end
  local index = ({ deferred = KEYS[11], uncertain = KEYS[12], dead = KEYS[13] })[state]
  if index then
    redis.call('HSET', KEYS[10], id, held)
    redis.call('ZADD', index, int(at), id)
  elseif state == 'waiting' then
    back[#back + 1] = held
  end
  return state
end

-- finish(lease, settled, unspent): the lease without its settled rows; refunded for those that never left.
local function finish(lease, settled, unspent)
  if not lease then
    return
  end
  local rest, refunds = {}, 0
  local rows = rows_of(lease)
  for _, row in ipairs(rows) do
    if not settled[row[1]] then
      rest[#rest + 1] = row
    elseif unspent[row[1]] then
      refunds = refunds + row[2]
    end
  end
  refund(KEYS[5], KEYS[6], lease, refunds)
  if #rest == 0 then
    drop_lease(KEYS[7], KEYS[8], lease.id)
  elseif #rest < #rows then
    lease.rows_json = cjson.encode(rest)
    put_lease(KEYS[7], lease)
  end
end
