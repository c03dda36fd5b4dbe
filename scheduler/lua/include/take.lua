-- @include judge
-- @include looked_up
-- take(lane, lanes, now, t, room): move rows from the head of a lane into the lease that `t` builds; false: it is closed.
-- t: {lease_id, max_rows, max_bytes, shape_fields, leased, deferred, kept, cancelled, rows, held, reply, seen, met, taken, bytes, moved}
-- In a class with order a row whose recipient has another one ahead of it goes behind that: include/order.lua.
-- A lease is of one shape and has no recipient twice, so the first row that differs closes it and stays where it is. Where
-- the provider takes few requests (t.look), it is set aside instead, and with it whatever goes to the same recipient: the
-- rows behind it may fill the request. The next lease begins with what was set aside: it is at the head again.
-- Rows looked at beyond those that may leave: expired and refused ones go without room, and those that a mark takes.
local SKIPS, LOOK, MARKED, MOVES = 8, 100, 150, 250
local take
function take(lane, lanes, now, t, room)
  local look, aside = t.look and room >= 1 and LOOK or 0, {}
  local want = math.min(t.max_rows - #t.rows, room + SKIPS + (t.marks and MARKED or 0)) + look
  if want < 1 then
    t.shut = true
    return false -- the lease is full
  end
  local raws = redis.call('LRANGE', lane.key, -want, -1)
  local gone, open, any_kept, moved_before = 0, true, redis.call('EXISTS', t.kept) == 1, t.moved
  local rows = looked_up(t, raws, lane, now, room)
  for i = #raws, 1, -1 do
    local raw = raws[i]
    local row = rows[i] or judge(t, raw, lane.step, now)
    if t.seen[row.id] or (row.leased or redis.call('HEXISTS', t.leased, row.id)) == 1
      or any_kept and redis.call('HEXISTS', t.kept, row.id) == 1 then
      t.moved = t.moved + 1 -- the same id twice is one message
    elseif t.cancelled and redis.call('ZREM', t.cancelled, row.id) == 1 then
      t.moved = t.moved + 1 -- it was sent after all, or somebody took it back: its record says so
      dropped(t, row)
    elseif t.marks and heeded(t, row, raw, now) then
      t.moved, any_kept = t.moved + 1, true
      dropped(t, row)
    elseif row.step ~= lane.step then
      redis.call('LPUSH', lanes[row.step], raw)
      t.moved = t.moved + 1
    elseif row.verdict == 'send' and row.not_before > now then
      redis.call('HSET', t.kept, row.id, row.step .. raw)
      defer(t.deferred, row.id, row.not_before)
      t.moved, any_kept = t.moved + 1, true
    elseif lane.order and row.verdict == 'send' and room >= 1 and t.met[row.to] ~= 'aside' and stands_behind(t, row, raw) then
      t.moved, any_kept = t.moved + 1, true
    else
      local sends = row.verdict == 'send'
      t.groups_until = sends and room >= 1 and row.members and lane.groups and lane.groups() or nil
      local differs = sends and (t.met[row.to] or (t.shape or row.shape) ~= row.shape)
      local apart = differs and room >= 1 and not t.groups_until and #aside < look
      open = apart or not (differs or sends and (room < 1 or t.groups_until))
        and (#t.rows == 0 or t.bytes + #row.body <= t.max_bytes) and #t.rows < t.max_rows
      if not open then
        t.shut = not (sends and room < 1) -- for every lane; else others may have room
        break
      end
      if apart then
        aside[#aside + 1], t.met[row.to] = raw, 'aside'
      elseif sends then
        t.taken, room, t.shape, t.met[row.to] = t.taken + 1, room - 1, row.shape, true
      end
      if not apart then
        joins(t, row, raw, sends, heads(t, row, sends, lane.order))
      end
    end
    gone = gone + 1
  end
  if gone == want and t.moved - moved_before == gone and t.moved < MOVES then
    -- Nothing but rows that go elsewhere: on to what is behind them.
    trim_lane(t, { lane.key, gone, aside })
    return take(lane, lanes, now, t, room)
  elseif gone > 0 then
    t.trims[#t.trims + 1] = { lane.key, gone, aside }
  end
  t.shut = t.shut or #aside > 0
  -- What wasn't looked at may be urgent: a lower class doesn't pass it.
  return open and #aside == 0 and #raws < want
end
