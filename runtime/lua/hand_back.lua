-- hand_back(lanes, leased, rows): put rows of a lease back at the head of their lanes, in the order they had.
local function hand_back(lanes, leased, rows)
  for i = #rows, 1, -1 do
    local id, step = rows[i][1], rows[i][3]
    local envelope = redis.call('HGET', leased, id)
    if envelope then
      redis.call('RPUSH', lanes[step], envelope)
      redis.call('HDEL', leased, id)
    end
  end
end
