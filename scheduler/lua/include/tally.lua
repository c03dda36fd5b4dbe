-- A tally says when something happened last, by name: `<ms>:<id> <ms>:<id>`, the oldest first. It stands in two hashes,
-- `<base>:0` and `<base>:1`, that take turns by the window: what is older than that goes with its whole hash.

-- tally(base, window_ms, now): the hash of this window and, where it still speaks, the one before.
local function tally(base, window_ms, now)
  local now_ms = math.floor(now / 1000)
  local turn = math.floor(now_ms / window_ms)
  local y = { now_ms = now_ms, window_ms = window_ms, turn = int(turn) }
  y.this, y.last = base .. ':' .. turn % 2, base .. ':' .. (turn + 1) % 2
  y.fresh = redis.call('HGET', y.this, 'turn') == y.turn
  y.speaks = redis.call('HGET', y.last, 'turn') == int(turn - 1)
  return y
end

-- tallied(y, names): what is written by these names, each a text or false.
local function tallied(y, names)
  local found = y.fresh and redis.call('HMGET', y.this, unpack(names)) or {}
  if y.speaks then
    for i, text in ipairs(redis.call('HMGET', y.last, unpack(names))) do
      found[i] = found[i] or text
    end
  end
  return found
end

-- times(text, since_ms, now_ms, id): {{ms, id}, ...} after a moment, without those of an id. What is of the future was
-- written before the clock was set back.
local function times(text, since_ms, now_ms, id)
  local found = {}
  for at, whose in (text or ''):gmatch('(%d+):(%S+)') do
    if tonumber(at) > since_ms and tonumber(at) <= now_ms and whose ~= id then
      found[#found + 1] = { tonumber(at), whose }
    end
  end
  return found
end

-- written(found, most): the last of such times as text.
local function written(found, most)
  local texts = {}
  for i = math.max(1, #found - most + 1), #found do
    texts[#texts + 1] = int(found[i][1]) .. ':' .. found[i][2]
  end
  return table.concat(texts, ' ')
end

-- begin_turn(y, ...): what stands in the hash of two turns ago is gone, and in what else takes turns with it.
local function begin_turn(y, ...)
  if not y.fresh then
    redis.call('UNLINK', y.this, ...)
    redis.call('HSET', y.this, 'turn', y.turn)
    redis.call('PEXPIRE', y.this, int(2 * y.window_ms + 60000))
    y.fresh = true
  end
end

-- tell(y, fields): write down what changed: {name, text, name, text, ...}.
local function tell(y, fields)
  begin_turn(y)
  redis.call('HSET', y.this, unpack(fields))
  redis.call('PEXPIRE', y.this, int(2 * y.window_ms + 60000))
end
