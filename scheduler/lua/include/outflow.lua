-- How fast messages leave and come, for estimates: written by leases that send something, exponentially weighted over
-- OUTFLOW_US. A field of the meter, thirteen whole numbers with a colon between:
-- at (us), busy (1: rows were left waiting then), weight (ppm: what the next but one rests on), TPS (thousandths, when it
-- was measured), all (millionths of an event: what a second took of the allocation while rows waited, sends and what
-- nobody can refuse); then for each class the rows that waited, and how many come a second (millionths).
-- These work on the KEYS of lease.lua. A script has room for 200 names at its top: these are one.
local flow = {}
do
local OUTFLOW_US, OUTFLOW_GAP, OUTFLOW_STEADY_S = 20000000, 10, 5

-- flow.of(meter): the thirteen numbers, zeros when nothing was measured.
function flow.of(meter)
  local o = {}
  for part in (redis.call('HGET', meter, 'outflow') or ''):gmatch('[^:]+') do
    o[#o + 1] = tonumber(part)
  end
  return #o == 13 and o or { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
end

-- flow.waiting(i, step): the rows of a class that wait: on the lane, in line behind others, or due.
function flow.waiting(i, step)
  return redis.call('LLEN', KEYS[i]) + redis.call('LLEN', KEYS[26] .. ':' .. step)
    + redis.call('ZLEXCOUNT', KEYS[25], '[' .. step .. ':', '(' .. step .. ';')
end

-- flow.note(meter, t, m, busy, now): write the field after a lease. The time since the last one that sent counts for `all`
-- if rows waited all the while and nothing but the meter held them back: a pause says nothing of the rate. What comes at
-- once, a campaign, is no rate either.
function flow.note(meter, t, m, busy, now)
  local o, sent = flow.of(meter), { ['0'] = 0, ['3'] = 0, ['6'] = 0, ['9'] = 0 }
  local us = math.max(1, now - o[1])
  local stays, goes_on = math.exp(-us / OUTFLOW_US), us < OUTFLOW_GAP * m.window_us
  if o[4] ~= m.tps_milli then
    o[3], o[5] = 0, 0
  end
  if o[2] == 1 and goes_on then
    o[5] = o[5] * stays + (1 - stays) * (t.taken * 1e12 / us + uncontrolled(meter, now).mean)
    o[3] = 1e6 - (1e6 - o[3]) * stays
  end
  for _, row in ipairs(t.rows) do
    sent[row[3]] = sent[row[3]] + 1
  end
  for i, step in ipairs({ '0', '3', '6', '9' }) do
    local rows = flow.waiting(i, step)
    local came = rows + sent[step] - o[5 + i]
    local steady = goes_on and came > 0 and came <= m.events * (OUTFLOW_STEADY_S + us / 1e6)
    o[5 + i], o[9 + i] = rows, o[9 + i] * stays + (steady and came * 1e12 / OUTFLOW_US or 0)
  end
  o[1], o[2], o[4] = now, busy and 1 or 0, m.tps_milli
  for i, part in ipairs(o) do
    o[i] = ('%.0f'):format(part)
  end
  redis.call('HSET', meter, 'outflow', table.concat(o, ':'))
end
end
