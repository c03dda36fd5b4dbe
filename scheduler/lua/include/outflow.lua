-- How fast messages leave, for estimates: these are exponentially weighted over OUTFLOW_US, and written by leases that
-- send something. A field of the meter, nine whole numbers with a colon between:
-- at (us), busy (1: rows were left waiting then), weight (ppm: what the next rests on), TPS (thousandths, when it was
-- measured), all (what a second took of the allocation while rows waited: sends and what nobody can refuse), and sends a
-- second of each class; the last five in millionths.
local OUTFLOW_US, OUTFLOW_GAP = 20000000, 10

-- outflow(meter): the nine numbers, zeros when nothing was measured.
local function outflow(meter)
  local o = {}
  for part in (redis.call('HGET', meter, 'outflow') or ''):gmatch('[^:]+') do
    o[#o + 1] = tonumber(part)
  end
  return #o == 9 and o or { 0, 0, 0, 0, 0, 0, 0, 0, 0 }
end

-- flowed(meter, t, m, busy, now): write the field after a lease. The time since the last one that sent counts if rows waited
-- all the while, and nothing but the meter held them back: who was paused, or had no worker, says nothing of the rate.
local function flowed(meter, t, m, busy, now)
  local o = outflow(meter)
  local us = math.max(1, now - o[1])
  local stays = math.exp(-us / OUTFLOW_US)
  if o[4] ~= m.tps_milli then
    o[3], o[5] = 0, 0
  end
  if o[2] == 1 and us < OUTFLOW_GAP * m.window_us then
    o[5] = o[5] * stays + (1 - stays) * (t.taken * 1e12 / us + uncontrolled(meter, now).mean)
    o[3] = 1e6 - (1e6 - o[3]) * stays
  end
  local place = { ['0'] = 6, ['3'] = 7, ['6'] = 8, ['9'] = 9 }
  for i = 6, 9 do
    o[i] = o[i] * stays
  end
  for _, row in ipairs(t.rows) do
    o[place[row[3]]] = o[place[row[3]]] + row[2] * 1e12 / OUTFLOW_US
  end
  o[1], o[2], o[4] = now, busy and 1 or 0, m.tps_milli
  redis.call('HSET', meter, 'outflow', ('%.0f:%.0f:%.0f:%.0f:%.0f:%.0f:%.0f:%.0f:%.0f'):format(unpack(o)))
end
