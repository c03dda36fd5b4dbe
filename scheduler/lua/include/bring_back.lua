-- bring_back(m, lanes, kept, all): rows whose hold has ended go back to the head of their lanes, in the order in which
-- they were met, at most BACK a call: the newest first, so that the oldest ends up at the very head. Until all of a lane
-- are back it stays closed (m.back), else the newest would leave first. `all`: whatever holds them. Returns how many rows
-- were looked at.
local BACK = 500
local function bring_back(m, lanes, kept, all)
  local moved = 0
  if not m or redis.call('EXISTS', m.held) == 0 then
    return moved
  end
  m.back = {}
  for _, id in ipairs(redis.call('HKEYS', m.held)) do
    local left = not all and m.active[id]
    for step, lane in pairs(not left and lanes or {}) do
      local list = m.held .. ':' .. id .. ':' .. step
      local room = BACK - moved
      local ids = room > 0 and redis.call('LRANGE', list, -room, -1) or {}
      for i = #ids, 1, -1 do
        local raw = redis.call('HGET', kept, ids[i])
        if raw then -- else it was dropped meanwhile
          redis.call('HDEL', kept, ids[i])
          redis.call('RPUSH', lane, raw:sub(2))
        end
      end
      if #ids > 0 then
        redis.call('LTRIM', list, 0, -#ids - 1)
        redis.call('HINCRBY', m.held, id, -#ids)
      end
      moved = moved + #ids
      if redis.call('EXISTS', list) == 1 then
        left, m.back[step] = true, true
      end
    end
    if not left then
      redis.call('HDEL', m.held, id)
    end
  end
  return moved
end
