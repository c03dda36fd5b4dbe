-- hand_back(lanes, leased, ids): put leased rows back at the head of their lanes, in the order they had.
local function hand_back(lanes, leased, ids)
  for i = #ids, 1, -1 do
    local held = redis.call('HGET', leased, ids[i])
    if held then
      redis.call('RPUSH', lanes[held:sub(1, 1)], held:sub(2))
      redis.call('HDEL', leased, ids[i])
    end
  end
end
