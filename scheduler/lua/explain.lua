#!lua flags=no-writes
-- explain: how the meter of a number stands, and what binds each class now, by the functions of the lease itself.
-- Guarantee: nothing is written; each class is answered as if it alone had messages, many, of one shape.
-- KEYS[1..], ARGV[1..] those of lease.lua, all of them
-- reply: {now, {name, value, …}, then for each class in order {waiting, may leave now, until (us) or 0, because
--   or '', from one paced row to the next (us)}}
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
local function spent(meter, window, now, window_us)
  local total, inside = standing(meter, window, now, window_us)
  return total, total - inside
end
-- @include measure
local now = now_us(ARGV[1])
local a = allocation(KEYS[5], KEYS[6], ARGV[5], ARGV[6], KEYS[14], now)
local shut = gate(a, now)
local m = measured(a, now)
-- Receipts that nobody tells us of: the lease charges them first.
m.owed = m.forecast and m.forecast.f[7] >= 1 and math.floor(m.forecast.f[7]) or nil
m.spent = m.spent + (m.owed or 0)
local u = uncontrolled(KEYS[7], now)
local facts = {
  tps_milli = a.tps_milli, events = a.events, window_us = a.window_us, leases = redis.call('HLEN', KEYS[9]),
  spent = m.spent, sends = m.sends, behind = m.behind, reserve = m.reserve, calm_ppm = m.calm, uncontrolled = u.mean,
  pace_at = m.pace_at, floor_at = m.floor_at, allowed_milli = a.allowed_milli, rests_until = a.rests_until,
}
if m.quota then
  facts.quota, facts.requests, facts.slot_us, facts.turn_at = m.quota.limit, m.quota.used, m.quota.slot_us, m.quota.due
end
if m.forecast and m.forecast.binds then
  facts.foreseen_ms, facts.calm_ms = math.max(0, excess(m) * 1000), CALM_S * 1000
end
local flat = {}
for name, value in pairs(facts) do
  flat[#flat + 1], flat[#flat + 2] = name, int(value)
end
local reply, marks = { now, flat }, marks_of(KEYS[20], KEYS[21], now)
for i, class in ipairs(classes(ARGV[11], a)) do
  local fits, ends, because = room(KEYS[8], now, m, class)
  if shut then
    fits, ends, because = 0, #shut == 4 and shut[3] or 0, shut[#shut]
  end
  if not shut and closed(marks, class.step, {}) then
    fits, ends, because = 0, int(marks.ends or 0), 'held'
  end
  if fits >= 1 then
    ends, because = 0, ''
  end
  local waiting = redis.call('LLEN', KEYS[i]) + redis.call('LLEN', KEYS[26] .. ':' .. class.step)
    + redis.call('ZLEXCOUNT', KEYS[25], '[' .. class.step .. ':', '(' .. class.step .. ';')
  reply[#reply + 1] = { waiting, fits, ends, because, int(class.interval) }
end
return reply
