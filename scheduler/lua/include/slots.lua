-- @include requests
-- Who may make a request now, of those that the provider takes in a minute? These work on the KEYS and ARGV of lease.lua.
-- A *turn* is when a unit may make a request of many rows, a batch. Turns are a token bucket; units of one account have
-- equal ones, so that none starves, and all turns together leave SPARE and LAST of the quota free. A turn is worth taking when a
-- full batch fits: what leaves the number's TPS from one turn to the next, after what comes in; at the latest, LATER of a
-- window after it could have been. (Measured: batches of what just fits, at fixed times, use a tenth less of TPS.)
-- Between turns a request goes *alone* while there are spare ones, for the classes that may use what others leave free:
-- urgent all of them, high half, normal and bulk none. Without spare ones they take the turn, and share its request; if it
-- is further away than PATIENCE they don't wait for it. The last LAST of the quota is never for a batch.
local SPARE, LAST, LATER, SAVED, WANTING_US, PATIENCE_US = 0.22, 0.05, 0.3, 3, 5000000, 900000
local UNLIMITED = 1000000

-- slots(a, now): the quota as it stands, or nil where there is none. Writes nothing.
local function slots(a, now)
  local limit = ARGV[12] ~= '' and (a.live.push_per_minute or tonumber(ARGV[12])) or 0
  if limit < 1 or limit >= UNLIMITED then
    return nil
  end
  local others = redis.call('ZCOUNT', KEYS[17], '(' .. int(now), '+inf')
  local ours = tonumber(redis.call('ZSCORE', KEYS[17], KEYS[7]) or 0)
  local turns = limit - math.floor(limit * (SPARE + LAST))
  local slot = (others + (ours > now and 0 or 1)) * QUOTA_US / turns
  local found = redis.call('HMGET', KEYS[7], 'slot_at', 'batch_at')
  -- A turn of the future is from a clock that was set back, or from a smaller quota.
  local last = math.min(now, tonumber(found[1] or 0))
  return {
    limit = limit, used = requests(KEYS[15], now), slot_us = slot, gather_us = math.max(slot, a.window_us),
    due = math.max(last + slot, now - SAVED * slot), batch_at = math.min(now, tonumber(found[2] or 0)),
    came = uncontrolled(KEYS[7], now).mean,
  }
end

-- alone(q, share, now): is there a spare request for a class that leaves free so much (ppm)?
local function alone(q, share, now)
  q.alone = q.alone or requests(KEYS[16], now)
  return q.alone < math.floor(q.limit * SPARE) * (1 - share / 1000000)
end

-- worth(q, m, class, fits): nil if this is the time for a batch of so many rows, else when it is.
local function worth(q, m, class, fits)
  local full = (1e6 / class.interval - q.came / 1e6) * q.slot_us / 1e6
  local missing = math.min(math.floor(full), math.floor(m.window_us / class.interval)) - fits
  local latest = q.batch_at + q.gather_us * (1 + LATER)
  if missing > 0 and latest > m.now then
    return math.min(latest, math.max(m.now + 10000, leaves_at(KEYS[8], m, missing)))
  end
end

-- admits(q, m, class, fits): how many rows of this class, of those that fit, may be in a request that leaves now; if
-- none, until when to wait and why. Who finds a request that is made anyway rides along.
local function admits(q, m, class, fits)
  if not q or q.share then
    return fits, 0, ''
  end
  q.wanted = true
  local most = q.limit - math.floor(q.limit * LAST * class.share / 1000000)
  if q.used >= most then
    return 0, frees_at(KEYS[15], m.now, q.used, most), 'quota'
  elseif class.share < 1000000 then
    if q.due <= m.now or q.due > m.now + PATIENCE_US or alone(q, class.share, m.now) then
      return fits, 0, ''
    end
    return 0, math.ceil(q.due), 'quota'
  end
  local from = q.due > m.now and q.due or worth(q, m, class, fits)
  if from then
    return 0, math.ceil(from), 'quota'
  end
  return fits, 0, ''
end

-- rides(q, class, rows): so many rows of a class are in the request.
local function rides(q, class, rows)
  if q and rows > 0 then
    q.share = math.max(q.share or 0, class.share)
  end
end

-- wanting(q, now): this unit wants requests, for others to know of.
local function wanting(q, now)
  log_set_back(KEYS[15], now)
  log_set_back(KEYS[16], now)
  local until_us = math.max(q.due, now) + WANTING_US
  redis.call('ZREMRANGEBYSCORE', KEYS[17], '-inf', int(now))
  redis.call('ZADD', KEYS[17], int(until_us), KEYS[7])
  redis.call('PEXPIRE', KEYS[17], int((until_us - now) / 1000 + 600000))
end

-- requested(q, id, now): a lease makes a request; what its record says of it, nil where there is no quota.
local function requested(q, id, now)
  if not q then
    return nil
  end
  local logs = { KEYS[15] }
  if q.due > now and q.share < 1000000 or alone(q, q.share, now) then
    logs[2] = KEYS[16]
  else
    redis.call('HSET', KEYS[7], 'slot_at', int(math.min(now, q.due)), 'batch_at', int(now))
  end
  for _, log in ipairs(logs) do
    note(log, id, now)
  end
  wanting(q, now)
  return { limit = q.limit, logs = logs }
end
