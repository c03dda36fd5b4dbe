-- declares(key, now, process, tps, told): write down what a process says of a number; the lowest TPS that any living one
-- says (thousandths), and whether another one says something else.
local TTL_US = 30000000
local function declares(key, now, process, tps, told)
  local lowest, differs = tonumber(tps), false
  local entries = redis.call('HGETALL', key)
  for i = 1, #entries, 2 do
    local said, ends, rest = entries[i + 1]:match('^(%d+) (%d+) ?(.*)$')
    if said and entries[i] ~= process then
      if tonumber(ends) <= now then
        redis.call('HDEL', key, entries[i])
      else
        lowest = math.min(lowest, tonumber(said))
        differs = differs or rest ~= told
      end
    end
  end
  redis.call('HSET', key, process, tps .. ' ' .. int(now + TTL_US) .. ' ' .. told, 'lowest', int(lowest))
  redis.call('PEXPIRE', key, int(TTL_US / 1000))
  return lowest, differs
end
