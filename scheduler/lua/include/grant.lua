-- @include owe
-- @include outflow
-- @include order
-- What a lease ends with: these work on the KEYS and ARGV of lease.lua.

local function trim(t)
  for _, lane in ipairs(t.trims) do
    trim_lane(t, lane)
  end
  go_on(t)
end

-- next_ask(t, wait, now): when to ask again: at once when something was moved or deferred; 0: when the doorbell rings. No
-- wait sleeps through the time of a deferred message: it may be of a class that has room.
local function next_ask(t, wait, now)
  if t.moved > 0 then
    return now
  end
  if t.marks and t.marks.ends and (wait[1] == 0 or t.marks.ends < wait[1]) then
    wait[1] = t.marks.ends -- what it holds goes on by itself then
  end
  local next_due = redis.call('ZRANGE', KEYS[12], 0, 0, 'WITHSCORES')
  local due = next_due[2] and math.floor(tonumber(next_due[2])) * 1000 or 0
  if due > now and due < wait[1] or wait[1] == 0 then
    wait[1] = due
  end
  return wait[1] > now and turn(KEYS[7], ARGV[3], wait[1], now) or wait[1]
end

-- nothing(t, m, wait, now): no row may leave.
local function nothing(t, m, wait, now)
  if m.quota and m.quota.wanted then
    wanting(m.quota, now)
  end
  trim(t)
  return { 'wait', now, next_ask(t, wait, now), t.moved > 0 and 'again' or wait[2] }
end

-- grant(t, m, wait, now): write the lease down, charge it, and only then take its rows off their lanes.
local function grant(t, m, wait, now)
  local id, deadline = ARGV[2], now + tonumber(ARGV[4])
  redis.call('HSET', KEYS[11], unpack(t.held))
  go_ahead(t)
  put_lease(KEYS[9], {
    id = id, holder = ARGV[3], state = 'leased', at = int(now), charged = t.taken, group = t.groups > 0 or nil, rows_json = cjson.encode(t.rows),
    expires = t.expires < math.huge and int(t.expires) or nil, capped = t.holds and t.holds.dropped or nil,
    quota = t.taken > 0 and requested(m.quota, id, now) or nil,
  })
  redis.call('ZADD', KEYS[10], int(deadline), id)
  if t.holds then
    note_leaving(t.holds)
  end
  if t.taken > 0 then
    charge(KEYS[7], KEYS[8], now, m.behind - t.taken * 1000000, id, t.taken, m.window_us)
    redis.call('HSET', KEYS[7], 'window', m.spent, 'pace_at', int(m.pace_at), 'floor_at', int(m.floor_at))
    if m.by_floor > 0 then
      redis.call('HINCRBY', KEYS[7], 'floor', m.by_floor)
    end
    redis.call('HINCRBY', KEYS[7], 'send', t.taken)
    leaves(m, t)
  end
  trim(t)
  if t.taken > 0 then
    flow.note(KEYS[7], t, m, wait[2] ~= 'empty', now)
  end
  return { 'grant', now, deadline, t.taken, next_ask(t, wait, now), unpack(t.reply) }
end

-- granted_before(lease, fields, now): the answer that this lease id got already; its caller never saw it.
local function granted_before(lease, fields, now)
  local reply = { 'grant', now, tonumber(redis.call('ZSCORE', KEYS[10], lease.id) or now), lease.charged, now }
  for _, entry in ipairs(rows_of(lease)) do
    local envelope = redis.call('HGET', KEYS[11], entry[1])
    if envelope then
      local read, row = pcall(facts, envelope, fields)
      local sends = entry[2] == 1
      local verdict = sends and 'send' or lease.capped and lease.capped[entry[1]] or (read and not row.refused) and 'expired'
        or 'refused: ' .. (read and row.refused or 'unreadable')
      for _, part in ipairs({ entry[1], entry[3], verdict, read and row.body or 'null' }) do
        reply[#reply + 1] = part
      end
    end
  end
  return reply
end
