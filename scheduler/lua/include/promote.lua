-- Deferred messages whose time has come leave in the order of their times. They go from `deferred` to a line for each
-- class (the lists `<due>:<step>`, of ids), and from there to the head of the lane: FRONT at a time, once those that were
-- put there before have left it. The hash `due` has, for each step, how many of these are still at the front.
local promote, passed
do
local AT_ONCE, FRONT = 200, 50

-- fall_due(deferred, kept, due, now): ids whose time has come, on to their lines; whether there may be more.
local function fall_due(deferred, kept, due, now)
  local ms = math.floor(now / 1000) -- what is of the same millisecond stands a little behind it: see defer.lua
  local ids = redis.call('ZRANGE', deferred, '-inf', '(' .. int(ms + 1), 'BYSCORE', 'LIMIT', 0, AT_ONCE)
  if #ids == 0 then
    return false
  end
  local held, of_step = redis.call('HMGET', kept, unpack(ids)), {}
  for i, id in ipairs(ids) do
    local step = held[i] and held[i]:sub(1, 1)
    if step then
      of_step[step] = of_step[step] or {}
      table.insert(of_step[step], id)
    end
  end
  redis.call('ZREM', deferred, unpack(ids))
  for step, those in pairs(of_step) do
    redis.call('LPUSH', due .. ':' .. step, unpack(those))
    redis.call('HSETNX', due, step, 0)
  end
  return #ids == AT_ONCE
end

-- promote(deferred, kept, due, lanes, now, all): the same, and on to their lanes; `all`: whatever is at the front, for a
-- unit whose lanes are moved away. Returns whether to come again at once.
function promote(deferred, kept, due, lanes, now, all)
  local more = fall_due(deferred, kept, due, now)
  local fronts = redis.call('HGETALL', due)
  for i = 1, #fronts, 2 do
    local step = fronts[i]
    -- A front that somebody else took off the lane, as `celery purge` does, is gone too.
    if all or math.min(tonumber(fronts[i + 1]), redis.call('LLEN', lanes[step])) <= 0 then
      local ids = redis.call('RPOP', due .. ':' .. step, all and AT_ONCE or FRONT) or {}
      local held, raws = #ids > 0 and redis.call('HMGET', kept, unpack(ids)) or {}, {}
      for n = #ids, 1, -1 do
        raws[#raws + 1] = held[n] and held[n]:sub(2) or nil
      end
      if #raws > 0 then
        redis.call('RPUSH', lanes[step], unpack(raws))
        redis.call('HDEL', kept, unpack(ids))
      end
      local left = redis.call('EXISTS', due .. ':' .. step) == 1
      more = more or left and (all or #raws == 0)
      if left or #raws > 0 and not all then
        redis.call('HSET', due, step, all and 0 or #raws)
      else
        redis.call('HDEL', due, step)
      end
    end
  end
  return more
end

-- passed(due, step, rows): so many rows left the head of a lane; returns whether to come again at once.
function passed(due, step, rows)
  local front = tonumber(redis.call('HGET', due, step) or 0)
  if rows <= 0 or front <= 0 then
    return false
  elseif front > rows then
    redis.call('HSET', due, step, int(front - rows))
    return false
  elseif redis.call('EXISTS', due .. ':' .. step) == 1 then
    redis.call('HSET', due, step, 0)
    return true
  end
  redis.call('HDEL', due, step)
  return false
end
end
