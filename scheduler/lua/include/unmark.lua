-- Marks that are over go, and the list of changes says so. This works on the KEYS of lease.lua.
local unmark
do -- a script has 200 locals at the most: what only these need stays in here
local MOST_CHANGES = 1000

-- older_left(): may something be left that was accepted before a drop was asked for? Looked at only when it is cheap to
-- tell that there is nothing: of a number that has, or had, several shards no lease sees all, and its drops go by their time.
local function older_left()
  return redis.call('EXISTS', KEYS[29]) == 1 or redis.call('EXISTS', unpack(KEYS, 1, 4)) > 0 or redis.call('HLEN', KEYS[9]) > 0
    or redis.call('HLEN', KEYS[13]) ~= redis.call('ZCARD', KEYS[23])
end

-- unmark(m): those whose time has passed, and drops that nothing is left for; the list keeps the last 1,000 changes.
function unmark(m)
  local over = m and m.over or {}
  if m and #m.drop > 0 and not older_left() then
    for _, mark in ipairs(m.drop) do
      over[#over + 1] = mark
    end
    m.drop = {}
  end
  for _, mark in ipairs(over) do
    local late = mark.until_ms and mark.until_ms <= m.now_ms
    local entry = { field = 'mark', verb = 'ended', by = 'headway', from = '', before = '', after = '', mark = mark }
    entry.at_ms, entry.reason = math.floor(m.now_ms), late and 'its time is over' or 'nothing older is left'
    entry.rows = tonumber(redis.call('HGET', m.key, mark.id .. '.rows') or nil)
    redis.call('HDEL', m.key, mark.id, mark.id .. '.rows')
    redis.call('LPUSH', KEYS[22], cjson.encode(entry))
    redis.call('LTRIM', KEYS[22], 0, MOST_CHANGES - 1)
  end
end
end
