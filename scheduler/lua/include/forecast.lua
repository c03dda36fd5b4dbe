-- What will come in because of what has been sent? The mathematics and the reference are scheduler/forecast.py's.
-- A forecast is 25 doubles: at (us), behind (events), inbound messages a second, inbound messages seen, whether receipts
-- were ever told of single sends and of groups, events owed to the meter; then for delivered and for read: share, share of
-- groups' members, delay (us), and the stages of single sends and of group members that are on their way.
-- `e` is what `expects` says.
-- @include expects
local FORECAST_FORMAT, FORECAST_TTL_S = '<' .. ('d'):rep(25), 30 * 86400
local FORECAST_PRIOR = { 0, 0, 0, 0, 0, 0, 0, 0.98, 0.98, 1000000, 0, 0, 0, 0, 0, 0, 0.6, 0.6, 6000000, 0, 0, 0, 0, 0, 0 }
local LEAST_SHARE, SHORTEST_US, INBOUND_US, EVIDENCE, EVIDENCE_S, EVIDENCE_GROUPS = 0.02, 50000, 60000000, 60, 15, 512

local function get_forecast(key)
  local raw = redis.call('GET', key)
  local f = raw and #raw == 200 and { struct.unpack(FORECAST_FORMAT, raw) } or { unpack(FORECAST_PRIOR) }
  f[26] = nil
  return f
end
local function put_forecast(key, f)
  redis.call('SET', key, struct.pack(FORECAST_FORMAT, unpack(f)), 'EX', FORECAST_TTL_S)
end
local function after(x, y, z, a)
  local e = math.exp(-a)
  return x * e, (y + x * a) * e, (z + y * a + x * a * a / 2) * e
end
-- evidence(f, b): how many receipts a change is spread over, of the stream that begins at `b`.
local function evidence(f, b)
  return math.max(EVIDENCE, EVIDENCE_S * 1e6 * (f[b + 3] + f[b + 4] + f[b + 5]) / f[b + 2])
end
-- speaks(f, e): are receipts of single sends expected at all?
local function speaks(f, e)
  return f[5] == 1 or not e.webhook
end
-- advance(f, e, now, tps_milli, inbound): time goes on; returns how many receipts of single sends and of groups were
-- expected meanwhile. `inbound`: the meter's total of inbound messages.
local function advance(f, e, now, tps_milli, inbound)
  local dt, came_one, came_many = math.max(0, now - f[1]), 0, 0
  for k = 1, 2 do
    local b = 9 * k - 1
    local a, n = 3 * dt / f[b + 2], evidence(f, b)
    local due_one, due_many = f[b + 3] + f[b + 4] + f[b + 5], f[b + 6] + f[b + 7] + f[b + 8]
    if due_one > 0 then
      f[b + 3], f[b + 4], f[b + 5] = after(f[b + 3], f[b + 4], f[b + 5], a)
      due_one = due_one - (f[b + 3] + f[b + 4] + f[b + 5])
    end
    if due_many > 0 then
      f[b + 6], f[b + 7], f[b + 8] = after(f[b + 6], f[b + 7], f[b + 8], a)
      due_many = due_many - (f[b + 6] + f[b + 7] + f[b + 8])
    end
    came_one = came_one + (e.single[k] and speaks(f, e) and f[b] * due_one or 0)
    came_many = came_many + (e.group[k] and f[b + 1] * due_many or 0)
    if e.webhook and f[5] == 1 then
      f[b] = math.max(LEAST_SHARE, f[b] * math.exp(-due_one / n))
    end
    if e.webhook and f[6] == 1 then
      f[b + 1] = math.max(LEAST_SHARE, f[b + 1] * math.exp(-due_many / EVIDENCE_GROUPS))
    end
  end
  local wrote = math.max(0, inbound - f[4])
  f[2] = math.max(0, f[2] + came_one + came_many + wrote - dt * tps_milli / 1e9)
  f[3] = f[3] * math.exp(-dt / INBOUND_US) + wrote * 1e6 / INBOUND_US
  f[1], f[4] = now, inbound
  return came_one, came_many
end
-- expected(f, e, us): how many events come within so many microseconds.
local function expected(f, e, us)
  local comes, one = f[3] * us / 1e6, speaks(f, e)
  for k = 1, 2 do
    local b = 9 * k - 1
    local p, q = one and e.single[k] and f[b] or 0, e.group[k] and f[b + 1] or 0
    local x, y, z = p * f[b + 3] + q * f[b + 6], p * f[b + 4] + q * f[b + 7], p * f[b + 5] + q * f[b + 8]
    local u, v, w = after(x, y, z, 3 * us / f[b + 2])
    comes = comes + math.max(0, x + y + z - (u + v + w))
  end
  return comes
end
