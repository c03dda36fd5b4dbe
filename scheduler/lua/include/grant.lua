-- What a lease ends with: these work on the KEYS and ARGV of lease.lua.

local function trim(t)
  for _, lane in ipairs(t.trims) do
    redis.call('LTRIM', lane[1], 0, -1 - lane[2])
  end
end

-- nothing(t, m, wait, now): no row may leave; when something was moved or deferred, ask again at once. No wait sleeps
-- through the time of a deferred message: it may be of a class that has room.
local function nothing(t, m, wait, now)
  if m.quota and m.quota.wanted then
    wanting(m.quota, now)
  end
  trim(t)
  if t.moved > 0 then
    return { 'wait', now, now, 'again' }
  end
  local next_due = redis.call('ZRANGE', KEYS[12], 0, 0, 'WITHSCORES')
  local due = next_due[2] and tonumber(next_due[2]) * 1000 or 0
  if due > now and due < wait[1] or wait[1] == 0 then
    wait[1] = due
  end
  return { 'wait', now, wait[1], wait[2] }
end

-- grant(t, m, now): write the lease down, charge it, and only then take its rows off their lanes.
local function grant(t, m, now)
  local id, deadline = ARGV[2], now + tonumber(ARGV[4])
  redis.call('HSET', KEYS[11], unpack(t.held))
  put_lease(KEYS[9], {
    id = id, holder = ARGV[3], state = 'leased', at = int(now), charged = t.taken, rows_json = cjson.encode(t.rows),
    quota = t.taken > 0 and requested(m.quota, id, now) or nil,
  })
  redis.call('ZADD', KEYS[10], int(deadline), id)
  if t.taken > 0 then
    charge(KEYS[7], KEYS[8], now, m.behind - t.taken * 1000000, id, t.taken, m.window_us)
    redis.call('HSET', KEYS[7], 'window', m.spent, 'pace_at', int(m.pace_at), 'floor_at', int(m.floor_at))
    if m.by_floor > 0 then
      redis.call('HINCRBY', KEYS[7], 'floor', m.by_floor)
    end
    redis.call('HINCRBY', KEYS[7], 'send', t.taken)
  end
  trim(t)
  return { 'grant', now, deadline, t.taken, unpack(t.reply) }
end

-- granted_before(lease, fields, now): the answer that this lease id got already; its caller never saw it.
local function granted_before(lease, fields, now)
  local reply = { 'grant', now, tonumber(redis.call('ZSCORE', KEYS[10], lease.id) or now), lease.charged }
  for _, entry in ipairs(rows_of(lease)) do
    local envelope = redis.call('HGET', KEYS[11], entry[1])
    if envelope then
      local read, row = pcall(facts, envelope, fields)
      local sends = entry[2] == 1
      local verdict = sends and 'send' or (read and not row.refused) and 'expired'
        or 'refused: ' .. (read and row.refused or 'unreadable')
      for _, part in ipairs({ entry[1], entry[3], verdict, read and row.body or 'null' }) do
        reply[#reply + 1] = part
      end
    end
  end
  return reply
end
