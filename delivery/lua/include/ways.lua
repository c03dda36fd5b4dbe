-- Which rows of a lease are out of their recipients' way? These work on the KEYS of settle.lua; see runtime/lua/free.lua.

-- ways_of(lease): for `free`, and {of (id -> place, of rows that are ahead), places, ids (of those that are out of the way)}.
local function ways_of(lease)
  local ways = {
    heads = KEYS[15], lines = KEYS[16], kept = KEYS[10], lanes = lanes_by_step(), of = {}, places = {}, ids = {},
  }
  for _, row in ipairs(lease and rows_of(lease) or {}) do
    if row[4] then
      ways.of[row[1]] = row[3] .. ':' .. row[4]
    end
  end
  return ways
end

-- leaves(ways, id, state, step, envelope): a row was settled. One that will be tried again, or may have been taken, stays
-- ahead.
local STAYS = { waiting = true, deferred = true, uncertain = true }
local function leaves(ways, id, state, step, envelope)
  if STAYS[state] then
    return
  elseif ways.of[id] then
    ways.places[#ways.places + 1], ways.ids[#ways.ids + 1] = ways.of[id], id
  elseif envelope then
    free_kept(ways, id, step .. envelope) -- it was uncertain
  end
end
