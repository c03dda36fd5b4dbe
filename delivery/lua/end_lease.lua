#!lua flags=allow-oom
-- end_lease: nobody will settle this lease: its holder is lost, or gives it up.
-- Guarantee: rows that had not begun go back to the head of their lanes, refunded; begun ones become uncertain, because
-- the provider may have them, unless a receipt has told what became of them. Running it again changes nothing.
-- KEYS[1..4] lanes urgent, high, normal, bulk (list)   KEYS[5] meter (hash)   KEYS[6] window (zset, TTL)
-- KEYS[7] leases (hash)   KEYS[8] deadlines (zset)   KEYS[9] leased (hash)   KEYS[10] kept (hash)
-- KEYS[11] uncertain (zset)   KEYS[12] cancelled (zset, TTL)   KEYS[13] heads (hash)   KEYS[14] lines (zset)
-- KEYS[15..] record of each row (hash, TTL)
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] lease id   ARGV[3] number   ARGV[4] time to live of a record (s)
-- ARGV[5] when: `expired` (only past its deadline), `unbegun` (only if it had not begun) or `ended`
-- ARGV[6] why, for the record   ARGV[7] doorbell (channel)   ARGV[8..] message ids, as the records
-- reply: {'gone'}, {'held'} (not so), {'returned', rows} or {'uncertain', rows}
-- @include now_us
-- @include int
-- @include lanes_by_step
-- @include get_lease
-- @include drop_lease
-- @include hand_back
-- @include refund
-- @include noted
-- @include remember
-- @include free
local now = now_us(ARGV[1])
local lease = get_lease(KEYS[7], ARGV[2])
if not lease then
  return { 'gone' }
elseif ARGV[5] == 'expired' and tonumber(redis.call('ZSCORE', KEYS[8], lease.id) or 0) > now
  or ARGV[5] == 'unbegun' and lease.state == 'sending' then
  return { 'held' }
end
local record_of, class_of = {}, { ['0'] = 'urgent', ['3'] = 'high', ['6'] = 'normal', ['9'] = 'bulk' }
for i = 8, #ARGV do
  record_of[ARGV[i]] = KEYS[i + 7]
end
local way = { heads = KEYS[13], lines = KEYS[14], kept = KEYS[10], lanes = lanes_by_step() }
local back, unknown, unspent = {}, {}, 0
for _, row in ipairs(rows_of(lease)) do
  assert(record_of[row[1]], 'end_lease: name the record of each row that the lease holds')
  if lease.state == 'sending' and row[2] == 1 then
    unknown[#unknown + 1] = row
  else
    back[#back + 1], unspent = row, unspent + row[2]
  end
end
for _, row in ipairs(unknown) do
  local id, step = row[1], row[3]
  local envelope = redis.call('HGET', KEYS[9], id)
  if envelope then
    local record = record_of[id]
    local found = redis.call('HMGET', record, 'receipt', 'history', 'first_ms')
    local state = noted(id, record, found[1], 'uncertain', KEYS[12])
    redis.call('HDEL', KEYS[9], id)
    redis.call('HSET', record, 'state', state, 'number', ARGV[3], 'class', class_of[step],
      'changed_ms', int(now / 1000), 'first_ms', found[3] or int(math.floor(tonumber(lease.at) / 1000)))
    local attempts = redis.call('HINCRBY', record, 'attempts', 1)
    if state == 'uncertain' then
      redis.call('HSET', KEYS[10], id, step .. envelope)
      redis.call('ZADD', KEYS[11], int(now / 1000), id)
      local entry = { at_ms = math.floor(now / 1000), state = state, attempts = attempts, reason = ARGV[6] }
      redis.call('HSET', record, 'reason', ARGV[6], 'history', remember(found[2], entry))
    elseif row[4] then
      free(way, step .. ':' .. row[4], id)
    end
    redis.call('EXPIRE', record, ARGV[4])
  end
end
refund(KEYS[5], KEYS[6], lease, unspent)
hand_back(way.lanes, KEYS[9], back)
ring(way, ARGV[7], ARGV[3])
drop_lease(KEYS[7], KEYS[8], lease.id)
return #unknown > 0 and { 'uncertain', #unknown } or { 'returned', #back }
