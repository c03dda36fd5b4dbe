-- What is a row that a lease meets at the head of its lane, and how does it get into the lease, or out of the lane?
-- trim_lane(t, trim): rows of a lane are gone from its head, but for those that were set aside; they are as they were.
local function trim_lane(t, trim)
  redis.call('LTRIM', trim[1], 0, -1 - trim[2])
  for i = #trim[3], 1, -1 do
    redis.call('RPUSH', trim[1], trim[3][i])
  end
  if t.due and passed(t.due, trim[1]:match('\22(%d)$') or '0', trim[2] - #trim[3]) then
    t.moved = t.moved + 1
  end
end
-- marked(cancelled): its key, or false when no row is marked there.
local function marked(cancelled)
  return redis.call('EXISTS', cancelled) == 1 and cancelled
end
-- judge(t, raw, step, now): its facts, its verdict, and the step of the lane where it belongs.
local function judge(t, raw, step, now)
  local read, row = pcall(facts, raw, t.shape_fields)
  if not read then
    row = { id = 'unreadable-' .. redis.sha1hex(raw), to = '', shape = '', body = 'null', refused = 'unreadable' }
  end
  row.verdict = row.refused and 'refused: ' .. row.refused or (row.expires <= now and 'expired') or 'send'
  row.step = row.step or step
  if t.holds and row.verdict == 'send' and row.step == step then
    hold_row(t.holds, row, now)
  end
  return row
end
-- joins(t, row, raw, sends, ahead): it is in the lease; `ahead`: whom it is ahead of, see include/order.lua.
local function joins(t, row, raw, sends, ahead)
  if sends and row.members then
    t.groups, t.members = t.groups + 1, t.members + row.members
  end
  if sends then
    t.expires = math.min(t.expires, row.expires)
  end
  if t.holds then
    leaving(t, row, sends)
  end
  t.bytes, t.seen[row.id] = t.bytes + #row.body, true
  t.rows[#t.rows + 1] = { row.id, sends and 1 or 0, row.step, ahead }
  t.held[#t.held + 1], t.held[#t.held + 2] = row.id, raw
  local n, reply = #t.reply, t.reply
  reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = row.id, row.step, row.verdict, row.body
end
