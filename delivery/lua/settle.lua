#!lua flags=allow-oom
-- settle: what became of rows of a lease, recorded; what never left is refunded; with its last row the lease ends.
-- Guarantee: a row is settled once: again, or after somebody else did, changes nothing; nor does it touch a row that
-- another lease holds by now. A late settle of an uncertain row is taken, and one that says `sent` of a row that waits
-- to be tried again: it never leaves again. Who is out of its recipient's way lets the next of the line go on. No row is ever in two places. A receipt that came before the settle counts:
-- what is proven to be taken is never tried again, and delivered doesn't go back to sent. Tries end by number and time.
-- KEYS[1..4] lanes urgent, high, normal, bulk (list)   KEYS[5] meter (hash)   KEYS[6] window (zset, TTL)
-- KEYS[7] leases (hash)   KEYS[8] deadlines (zset)   KEYS[9] leased (hash)   KEYS[10] kept (hash)
-- KEYS[11] deferred (zset)   KEYS[12] uncertain (zset)   KEYS[13] dead (zset)   KEYS[14] cancelled (zset, TTL)
-- KEYS[15] heads (hash)   KEYS[16] lines (zset)   KEYS[17..] record of each row (hash, TTL);
--   then, for each row with a provider_id, the `sent` that leads from it to ours (string, TTL)
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] lease id   ARGV[3] number   ARGV[4] time to live of a record (s)
-- ARGV[5] JSON: for each new state, the states that a late settle may come from   ARGV[6] attempts at most
-- ARGV[7] how long a row is tried at most (ms)   ARGV[8] doorbell (channel)
-- ARGV[9..] eight for each row: message id, new state, attempt 1|0 (it left, so it used TPS), pause before the next
--   attempt (ms, for a deferral), and of its record: provider_id, push_id, code, reason ('' for none)
-- reply: the new state of each row, or '' where nothing changed
-- @include now_us
-- @include int
-- @include lanes_by_step
-- @include get_lease
-- @include drop_lease
-- @include refund
-- @include unkeep
-- @include noted
-- @include remember
-- @include withdraw
-- @include tries
-- @include place
-- @include free
-- @include ways
local now, lease, from = now_us(ARGV[1]), get_lease(KEYS[7], ARGV[2]), cjson.decode(ARGV[5])
local reply, steps, settled, unspent, back = {}, steps_of(lease), {}, {}, {}
local now_ms, pointer, ways = int(now / 1000), 16 + (#ARGV - 8) / 8, ways_of(lease)
for i = 9, #ARGV, 8 do
  local id, state, left = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local record = KEYS[17 + (i - 9) / 8]
  pointer = pointer + (ARGV[i + 4] ~= '' and 1 or 0)
  local step, envelope, late = not settled[id] and steps[id], nil, nil
  local found = redis.call('HMGET', record, 'receipt', 'attempts', 'number', 'class', 'state', 'first_ms', 'retried_ms',
    'history')
  if step then
    settled[#settled + 1], settled[id], unspent[id] = id, true, left == '0'
  elseif not settled[id] and from[state][found[5] or 'none'] then
    local held = unkeep(id, KEYS[10], KEYS[12])
    step, envelope = held and held:sub(1, 1), held and held:sub(2)
  elseif not settled[id] and state == 'sent' and left == '1' and found[6] and waits(found[5]) then
    local marked, held = withdraw(id, KEYS[11], KEYS[10], KEYS[14], now_ms, ARGV[4])
    step, late = 'late', marked
    free_kept(ways, id, held)
  end
  if step then
    local proven = noted(id, record, found[1], state, KEYS[14])
    local fields = starts(found, step, now_ms, late)
    -- What the receipt said of a failure stands.
    said(i + 4, proven == state and 4 or 2, fields)
    -- The try of a row that isn't the lease's any more was counted before.
    local attempts = left == '1' and counts(found, settled[id], fields) or 0
    if settled[id] then
      began(lease, fields)
    end
    if state == 'sent' and ARGV[i + 4] ~= '' then
      redis.call('SET', KEYS[pointer], id, 'EX', ARGV[4])
    end
    state = proven
    if state ~= 'sent' or found[8] then
      local try = tries(found, lease, now, attempts)
      try.retry_ms, envelope = tonumber(ARGV[i + 3]), envelope or redis.call('HGET', KEYS[9], id)
      state = envelope and place(state, id, step .. envelope, try, fields, back) or state
      remembers(found[8], state, i + 4, try, fields)
    end
    leaves(ways, id, state, step, envelope)
    redis.call('HSET', record, 'state', state, unpack(fields))
    redis.call('EXPIRE', record, ARGV[4])
  end
  reply[#reply + 1] = step and state or ''
end
if #settled > 0 then
  redis.call('HDEL', KEYS[9], unpack(settled))
end
for i = #back, 1, -1 do
  redis.call('RPUSH', lanes_by_step()[back[i]:sub(1, 1)], back[i]:sub(2))
end
free_all(ways, ways.places, ways.ids)
ring(ways, ARGV[8], ARGV[3])
finish(lease, settled, unspent)
return reply
