-- These work on the ARGV of settle.lua: what a record says of a row's tries.

-- tries(found, lease, now, attempts): {now_ms, attempts, first_ms (its first begin), since_ms (from when they count:
-- later than that, when a person had it tried anew)}. `found`: of its record, as settle reads it.
local function tries(found, lease, now, attempts)
  local begun = lease and lease.state == 'sending' and tonumber(lease.at) or now
  local first_ms = tonumber(found[6] or math.floor(begun / 1000))
  return { now_ms = now / 1000, attempts = attempts, first_ms = first_ms,
    since_ms = math.max(first_ms, tonumber(found[7] or 0)) }
end

-- starts(found, step, now_ms, late): the first fields for its record. `late`: somebody else may have it by now, and its
-- settle must hear that it was sent.
local CLASS_OF = { ['0'] = 'urgent', ['3'] = 'high', ['6'] = 'normal', ['9'] = 'bulk' }
local function starts(found, step, now_ms, late)
  if found[3] == ARGV[3] and found[4] and not late then
    return { 'changed_ms', now_ms }
  end
  local fields = { 'changed_ms', now_ms, 'number', ARGV[3], 'class', CLASS_OF[step] or found[4] }
  if late then
    fields[7], fields[8] = 'receipt', 'sent'
  end
  return fields
end

-- counts(found, ours, fields): one more attempt, if the row is this lease's; returns how many there were.
local function counts(found, ours, fields)
  local attempts = tonumber(found[2] or 0) + (ours and 1 or 0)
  fields[#fields + 1], fields[#fields + 2] = 'attempts', int(attempts)
  return attempts
end

-- remembers(history, state, from, try, fields): for its record: the first try, and one more entry of its history, if it
-- has one or needs one. What the provider said of it stands at ARGV[from] and after.
local AGAIN = { waiting = true, deferred = true, uncertain = true, dead = true }
local function remembers(history, state, from, try, fields)
  if not history and not AGAIN[state] then
    return
  end
  local n = #fields
  local code, reason = ARGV[from + 2], ARGV[from + 3]
  fields[n + 1], fields[n + 2] = 'first_ms', int(try.first_ms)
  fields[n + 3], fields[n + 4] = 'history', remember(history, {
    at_ms = math.floor(try.now_ms), state = state, attempts = try.attempts > 0 and try.attempts or nil,
    code = code ~= '' and code or nil, reason = reason ~= '' and reason or nil, gave_up = try.gave_up,
  })
end

-- steps_of(lease): id -> step, of the rows that a lease holds.
local function steps_of(lease)
  local steps = {}
  for _, row in ipairs(lease and rows_of(lease) or {}) do
    steps[row[1]] = row[3]
  end
  return steps
end

-- began(lease, fields): when it began, and whether to a group, so that a receipt tells how long it took.
local function began(lease, fields)
  if lease.state == 'sending' then
    fields[#fields + 1], fields[#fields + 2] = 'begun_ms', int(tonumber(lease.at) / 1000)
  end
  if lease.group then
    fields[#fields + 1], fields[#fields + 2] = 'group', '1'
  end
end
