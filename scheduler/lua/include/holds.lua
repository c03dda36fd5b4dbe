-- What holds a single row back, though its class has room: its class's expiry, quiet hours, caps, the loop guard.
-- It is judged when a lease meets the row, and counted when the row is in the lease. It works on the KEYS and ARGV of
-- lease.lua.
local holds_of, hold_row, leaving, note_leaving
do -- a script has 200 locals at the most: what only these need stays in here
-- @include tally
-- @include quiet
-- @include caps
-- @include guard
-- holds_of(limits, guard, now, tps_milli): what there is of it, or false. limits: JSON {expires: {step: ms}, quiet: {step: [spans,
-- prefixes]}, caps: [...], longest_ms, most, here}, or ''; guard: `<most>:<ms>`, or ''.
function holds_of(limits, guard, now, tps_milli)
  if limits == '' and guard == '' then
    return false
  end
  local h = limits ~= '' and cjson.decode(limits) or {}
  h.resting, h.capped, h.record, h.now = KEYS[27], KEYS[28]:sub(1, -3), ARGV[18], now
  h.leaving, h.counting = {}, {}
  local most, window_ms = guard:match('^(%d+):(%d+)$')
  h.guard = most and { most = tonumber(most), window_ms = tonumber(window_ms) }
  -- Few enough that a slow number's are small, many enough that few contacts share one.
  h.cells = h.guard and math.max(1021, math.min(262139, math.floor(h.guard.window_ms * tps_milli / 250000) + 1))
  return h
end

-- A class's expiry counts from when the row was accepted, or from its own time to leave, or from when a person had it
-- tried anew, whichever is the latest. What a stock publisher put there has no record yet: its own `expires` counts.
local function expiry(h, row)
  local lasts_ms = h.expires and h.expires[row.step]
  local at = lasts_ms and redis.call('HMGET', h.record .. row.id, 'accepted_ms', 'retried_ms') or {}
  if at[1] then
    local from = math.max(tonumber(at[1]), tonumber(at[2] or 0)) * 1000
    row.expires = math.min(row.expires, math.max(from, row.not_before) + lasts_ms * 1000)
  end
end

-- hold(h, row, now): change the verdict of a row that would be sent, or its time.
function hold_row(h, row, now)
  expiry(h, row)
  if row.expires <= now then
    row.verdict = 'expired'
  elseif row.not_before <= now then
    local quiet = h.quiet and h.quiet[row.step]
    row.not_before = math.max(row.not_before, quiet and quiet_until(quiet, row, now, h.here) or 0)
    if row.not_before <= now and h.caps then
      cap(h, row, now)
    end
    if row.not_before <= now and h.guard and row.verdict == 'send' then
      row.not_before = math.max(row.not_before, rests(h, row, now))
    end
  end
end

-- leaving(t, row, sends): it is in the lease; what a cap drops is known to its record, for who asks for the lease again.
function leaving(t, row, sends)
  local h = t.holds
  if not sends then
    if row.verdict:find('capped', 1, true) == 1 then
      h.dropped = h.dropped or {}
      h.dropped[row.id] = row.verdict
    end
    return
  end
  if h.caps then
    count_caps(h, row, h.now)
  end
  if h.guard then
    h.leaving[#h.leaving + 1] = row
  end
end

-- note_leaving(h): write down what leaves.
function note_leaving(h)
  local fields = {}
  for name, text in pairs(h.counting) do
    fields[#fields + 1], fields[#fields + 2] = name, text
  end
  if #fields > 0 then
    tell(h.tally, fields)
  end
  if #h.leaving > 0 then
    note_texts(h, h.now)
  end
end
end
