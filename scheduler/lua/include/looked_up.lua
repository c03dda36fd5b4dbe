-- looked_up(t, raws, lane, now, room): where many rows fit, as many of them judged, by their place in `raws`, and what Redis
-- knows of them asked in one go: to ask for each costs nearly as much as all the rest. {} where few fit.
-- It works on the KEYS of lease.lua.
local MANY = 20
local function looked_up(t, raws, lane, now, room)
  local rows, ids, places, from = {}, {}, {}, math.max(1, #raws - room + 1)
  if room < MANY or #raws < MANY then
    return rows
  end
  for i = from, #raws do
    local row = judge(t, raws[i], lane.step, now)
    rows[i], ids[#ids + 1] = row, row.id
    if lane.order then
      row.place = place_of(row.step, row.to)
      places[#places + 1] = row.place
    end
  end
  local leased = redis.call('HMGET', t.leased, unpack(ids))
  local ahead = lane.order and t.heads and redis.call('HMGET', KEYS[24], unpack(places)) or {}
  for n = 1, #ids do
    local row = rows[from + n - 1]
    row.leased = leased[n] and 1 or 0
    if lane.order then
      row.known = ahead[n] or false
    end
  end
  return rows
end
