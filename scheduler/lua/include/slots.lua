-- @include requests
-- Who may make a request now, of those that the provider takes in a minute? These work on the KEYS and ARGV of lease.lua.
-- A *turn* is when a unit may make a request with whatever the window lets go, a batch. Units of one account have turns
-- of one length, so that none starves, and all turns together leave SPARE of the quota free. Where it can, a turn lasts a
-- whole part of the window: two batches within one window would share its room, and the second would find little.
-- Between turns a request goes *alone* while there are spare ones, for the classes that may use what others leave free:
-- urgent all of them, high half, normal and bulk none. Without spare ones they wait for the turn, and share its request.
local SPARE, WANTING_US, LATE_US = 0.2, 5000000, 50000

-- slots(a, now): the quota as it stands, or nil where there is none. Writes nothing.
local function slots(a, now)
  local limit = ARGV[12] ~= '' and (a.live.push_per_minute or tonumber(ARGV[12])) or 0
  if limit < 1 then
    return nil
  end
  local others = redis.call('ZCOUNT', KEYS[17], '(' .. int(now), '+inf')
  local ours = tonumber(redis.call('ZSCORE', KEYS[17], KEYS[7]) or 0)
  local units = others + (ours > now and 0 or 1)
  local slot = units * QUOTA_US / (limit - math.floor(limit * SPARE))
  if slot < a.window_us then
    slot = a.window_us / math.floor(a.window_us / slot)
  end
  local last = tonumber(redis.call('HGET', KEYS[7], 'slot_at') or 0)
  return {
    limit = limit, used = requests(KEYS[15], now), slot_us = slot,
    due = last > now and now or last + slot, -- a turn of the future is from a clock that was set back
    spare = math.max(math.floor(limit * SPARE), limit - math.ceil(units * QUOTA_US / slot)),
  }
end

-- alone(q, share, now): may a class that leaves free so much (ppm) make a request outside of turns?
local function alone(q, share, now)
  q.alone = q.alone or requests(KEYS[16], now)
  return q.alone < q.spare * (1 - share / 1000000)
end

-- admits(q, class, now, fits): how many rows of this class, of those that fit, may be in a request that leaves now; if
-- none, until when to wait and why. Who finds a request that is made anyway rides along.
local function admits(q, class, now, fits)
  if not q then
    return fits, 0, ''
  end
  q.wanted = true
  if q.share or q.used < q.limit and (q.due <= now or alone(q, class.share, now)) then
    return fits, 0, ''
  end
  return 0, math.ceil(q.used < q.limit and q.due or frees_at(KEYS[15], now, q.used, q.limit)), 'quota'
end

-- rides(q, class, rows): so many rows of a class are in the request.
local function rides(q, class, rows)
  if q and rows > 0 then
    q.share = math.max(q.share or 0, class.share)
  end
end

-- wanting(q, now): this unit wants requests, for others to know of.
local function wanting(q, now)
  local until_us = math.max(q.due, now) + WANTING_US
  redis.call('ZREMRANGEBYSCORE', KEYS[17], '-inf', int(now))
  redis.call('ZADD', KEYS[17], int(until_us), KEYS[7])
  redis.call('PEXPIRE', KEYS[17], int((until_us - now) / 1000 + 600000))
end

-- requested(q, id, now): a lease makes a request; what its record says of it, nil where there is no quota. A turn that is
-- taken a little late doesn't put off the next one.
local function requested(q, id, now)
  if not q then
    return nil
  end
  local logs = { KEYS[15] }
  if alone(q, q.share, now) then
    logs[2] = KEYS[16]
  else
    redis.call('HSET', KEYS[7], 'slot_at', int(now - q.due < LATE_US and math.min(now, q.due) or now))
  end
  for _, log in ipairs(logs) do
    note(log, id, now)
  end
  wanting(q, now)
  return { limit = q.limit, logs = logs }
end
