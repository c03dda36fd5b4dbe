#!lua flags=allow-oom
-- receipts: what receipts say of the number's messages, recorded; states have a rank and never go back.
-- Guarantee: a receipt changes a record once, in whatever order and how often they come. One for a row that is uncertain,
-- dead, or waits to be tried again proves that the provider took it: its envelope is let go, or marked (`cancelled`), and
-- it never leaves again. One that comes before its first settle is noted in the record (`receipt`) and used by the settle.
-- A message that nobody knows is no error.
-- KEYS[1] leased (hash)   KEYS[2] kept (hash)   KEYS[3] uncertain (zset)   KEYS[4] echo (zset, TTL)
-- KEYS[5] dead (zset)   KEYS[6] deferred (zset)   KEYS[7] cancelled (zset, TTL)
-- KEYS[8..11] lanes urgent, high, normal, bulk (list)   KEYS[12] heads (hash)   KEYS[13] lines (zset)
-- KEYS[14..] of each receipt in turn: if it names our id, the record (hash, TTL); if it gives the provider's id, the
--   `sent` that leads from it to ours (string, TTL)
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] number, or its unit that has the recipient
-- ARGV[3] time to live of a record (s)
-- ARGV[4] JSON: for each state that a receipt may bring, the states it may follow
-- ARGV[5] doorbell (channel)   ARGV[6..] five for each receipt: our id or '', provider's id or '', new state or '' (only look), code and reason of a
--   failure or ''
-- reply: for each receipt six texts: 'matched', our id, our push id, the app's own reference, the new state or '' where
--   nothing changed yet, ms since its begin or '' (`g` before it: to a group); 'named', our id: the provider's id leads
--   there, ask again with that id; 'elsewhere', unit: the message is of that number or shard; 'unknown'; then ''
-- @include now_us
-- @include int
-- @include unkeep
-- @include remember
-- @include withdraw
-- @include free
-- @include whose
-- @include match
local now_ms, from = int(now_us(ARGV[1]) / 1000), cjson.decode(ARGV[4])
local reply, key = {}, 13
for i = 6, #ARGV, 5 do
  local receipt = { id = ARGV[i], provider_id = ARGV[i + 1], state = ARGV[i + 2], code = ARGV[i + 3], reason = ARGV[i + 4] }
  local leads_to
  if receipt.id ~= '' then
    key = key + 1
    receipt.record = KEYS[key]
  end
  local found = receipt.record and find(receipt.id, receipt.record)
  if receipt.provider_id ~= '' then
    key = key + 1
    leads_to = not found and redis.call('GET', KEYS[key])
  end
  local answer = { 'unknown', '', '', '', '', '' }
  if found and found.number ~= ARGV[2] and not (early(found) and number_of(found.number) == number_of(ARGV[2])) then
    answer = { 'elsewhere', found.number, '', '', '', '' }
  elseif found then
    echoed(receipt, found, now_ms)
    answer = { 'matched', receipt.id, found.push, found.reference, apply(receipt, found, from, now_ms),
      took(found, now_ms) }
  elseif leads_to then
    answer = { 'named', leads_to, '', '', '', '' }
  end
  for _, text in ipairs(answer) do
    reply[#reply + 1] = text
  end
end
ring(way, ARGV[5], ARGV[2])
return reply
