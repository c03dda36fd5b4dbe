-- @include recipient
-- Order to one recipient. Of a lane's messages to one recipient one is ahead, from its lease until it has left for good:
-- its id stands in `heads`, at `<step>:<recipient>`. Those that a lease meets meanwhile stand behind it, in `lines`, with
-- their envelopes in `kept`. A head that waits to be tried again, or on its lane once more, stays ahead.
-- o: {heads, lines, kept (keys), lanes (by step)}; `o.freed` is set when a message went back to its lane.

-- free(o, place, id): this message is no longer ahead; the next of the line is, from the head of its lane.
local function free(o, place, id)
  if redis.call('HGET', o.heads, place) ~= id then
    return
  end
  local from, to = '[' .. place .. '\n', '(' .. place .. '\11'
  while true do
    local first = redis.call('ZRANGE', o.lines, from, to, 'BYLEX', 'LIMIT', 0, 1)[1]
    if not first then
      redis.call('HDEL', o.heads, place)
      return
    end
    redis.call('ZREM', o.lines, first)
    local next_id = first:sub(#place + 23)
    local held = redis.call('HGET', o.kept, next_id)
    if held then -- else it was taken back meanwhile
      redis.call('HDEL', o.kept, next_id)
      redis.call('HSET', o.heads, place, next_id)
      redis.call('RPUSH', o.lanes[held:sub(1, 1)], held:sub(2))
      o.freed = true
      return
    end
  end
end

-- free_all(o, places, ids): as `free`, for rows of a lease that were ahead; one call when nobody stands behind anybody.
local function free_all(o, places, ids)
  if #places == 0 then
    return
  elseif redis.call('EXISTS', o.lines) == 0 then
    redis.call('HDEL', o.heads, unpack(places))
    return
  end
  for i, place in ipairs(places) do
    free(o, place, ids[i])
  end
end

-- free_kept(o, id, held): as `free`, for a row that was kept: priority step and envelope.
local function free_kept(o, id, held)
  if held and redis.call('EXISTS', o.heads) == 1 then
    local read, to = pcall(recipient, held:sub(2))
    if read then
      free(o, place_of(held:sub(1, 1), to), id)
    end
  end
end

-- ring(o, bell, unit): whoever serves the unit hears that one of its lanes has something again.
local function ring(o, bell, unit)
  if o.freed then
    redis.call('PUBLISH', bell, unit)
  end
end
