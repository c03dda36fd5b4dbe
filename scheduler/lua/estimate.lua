#!lua flags=no-writes
-- estimate: what says when a message of a number will leave; the mathematics is scheduler/estimate.py's.
-- Guarantee: nothing is written.
-- KEYS[1..] those of lease.lua, all of them; then the four lanes of the number whose shard this is (its own lanes again
--   when it has no shards)
-- ARGV[1..] those of lease.lua, all of them; then the class that is asked about (1 to 4, or 0: none)
-- reply: {now, {name, value, …}, {for each class its rows waiting, those that stand in a line included},
--   {…: rows on the number's lanes}, {share (ppm), weight or 0, held 1|0 for each class}, {deferred rows due within each
--   of HORIZONS_S}, {of delivered, then read: receipts a send brings (ppm), their delay (us), how many are on their way
--   in each of three stages (thousandths)}, {outflow.lua's thirteen}, {may leave now, until (us) or 0, because}}
-- @include now_us
-- @include int
-- @include allocation
-- @include standing
-- @include uncontrolled
-- @include backlog
-- @include gate
-- @include marks
-- @include heed
-- @include classes
-- @include room
-- @include outflow
local KNOWN, NEAR_ENOUGH = 300, 0.2
local HORIZONS_S = { 1, 10, 60, 600, 3600, 36000 }
local function spent(meter, window, now, window_us)
  local total, inside = standing(meter, window, now, window_us)
  return total, total - inside
end
-- @include measure
local now = now_us(ARGV[1])
local a = allocation(KEYS[5], KEYS[6], ARGV[5], ARGV[6], KEYS[14], now)
local shut, m = gate(a, now), measured(a, now)
local own, asked, u = #KEYS - 4, tonumber(ARGV[#ARGV]), uncontrolled(KEYS[7], now)
local f, e = m.forecast and m.forecast.f, m.forecast and m.forecast.e
local totals = redis.call('HMGET', KEYS[7], 'send', 'delivered', 'read')
local facts = {
  tps_milli = a.tps_milli, events = a.events, window_us = a.window_us, behind_ue = m.behind, reserve = m.reserve,
  calm_ppm = m.calm, inbound_ue = f and f[3] * 1e6 or u.mean, paused = a.paused and 1 or 0, rests_until_us = a.rests_until,
  workers = math.max(0, redis.call('HLEN', KEYS[6]) - 1), slot_us = m.quota and m.quota.slot_us or 0,
}
local flat, waiting, moving, rules, due, streams = {}, {}, {}, {}, {}, {}
for name, value in pairs(facts) do
  flat[#flat + 1], flat[#flat + 2] = name, int(value)
end
local marks, said = marks_of(KEYS[20], KEYS[21], now), { 0, 0, '' }
for i, class in ipairs(classes(ARGV[11], a)) do
  local held = closed(marks, class.step, {})
  waiting[i] = flow.waiting(i, class.step)
  moving[i] = redis.call('LLEN', KEYS[own + i])
  rules[3 * i - 2], rules[3 * i - 1], rules[3 * i] = class.share, class.weight or 0, held and 1 or 0
  if i == asked then
    local fits, ends, because = room(KEYS[8], now, m, class)
    if shut then
      fits, ends, because = 0, #shut == 4 and shut[3] or 0, shut[#shut]
    elseif held then
      fits, ends, because = 0, marks.ends or 0, 'held'
    end
    said = { int(fits), int(ends), because or '' }
  end
end
for i, seconds in ipairs(redis.call('EXISTS', KEYS[12]) == 1 and HORIZONS_S or {}) do
  due[i] = redis.call('ZCOUNT', KEYS[12], '-inf', int(now / 1000 + seconds * 1000))
end
for k = 1, f and 2 or 0 do
  local b = 9 * k - 1
  local p, q = e.single[k] and speaks(f, e) and f[b] or 0, e.group[k] and f[b + 1] or 0
  -- What was learned of the last sends is near the share of all of them? Then that one is nearer to the truth.
  local of_all = tonumber(totals[1] or 0) >= KNOWN and tonumber(totals[k + 1] or 0) / tonumber(totals[1]) or 0
  p = math.abs(of_all - p) < NEAR_ENOUGH * p and of_all or p
  for _, part in ipairs({ p * 1e6, f[b + 2], (p * f[b + 3] + q * f[b + 6]) * 1000, (p * f[b + 4] + q * f[b + 7]) * 1000,
    (p * f[b + 5] + q * f[b + 8]) * 1000 }) do
    streams[#streams + 1] = int(part)
  end
end
return { now, flat, waiting, moving, rules, due, streams, flow.of(KEYS[7]), said }
