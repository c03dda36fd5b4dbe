-- These work on the KEYS and ARGV of receipts.lua: what does a receipt change?
local way = {
  heads = KEYS[12], lines = KEYS[13], kept = KEYS[2],
  lanes = { ['0'] = KEYS[8], ['3'] = KEYS[9], ['6'] = KEYS[10], ['9'] = KEYS[11] },
}

-- known(receipt, found, now_ms): what a receipt of a message means that isn't at its end: 'state' when the record says so
-- from now on, 'receipt' when it is noted for the settle that is to come, nil when it changes nothing.
-- One that was tried before and waits to be tried again: it was sent after all, and must not leave again. That an earlier
-- try failed doesn't stop the next.
local function known(receipt, found, now_ms)
  if not early(found) then
    return 'state'
  elseif not found.first_ms then
    return 'receipt'
  elseif receipt.state == 'failed' then
    return redis.call('HEXISTS', KEYS[1], receipt.id) == 1 and 'receipt' or nil
  end
  local marked, held = withdraw(receipt.id, KEYS[6], KEYS[2], KEYS[7], now_ms, ARGV[3])
  if marked then
    redis.call('HSET', receipt.record, 'receipt', receipt.state) -- for the settle of whoever has it by now
  end
  free_kept(way, receipt.id, held)
  return 'state'
end

-- apply(receipt, found, from, now_ms): write down what it changes; returns the new state, or ''.
local function apply(receipt, found, from, now_ms)
  local state, record = receipt.state, receipt.record
  local before = early(found) and found.noted or not early(found) and found.state
  local field = state ~= '' and (not before or from[state][before]) and known(receipt, found, now_ms)
  if not field then
    return ''
  end
  redis.call('HSET', record, field, state, 'number', ARGV[2], 'changed_ms', now_ms)
  if found.state == 'uncertain' or found.state == 'dead' then
    free_kept(way, receipt.id, unkeep(receipt.id, KEYS[2], found.state == 'dead' and KEYS[5] or KEYS[3]))
    redis.call('HDEL', record, 'code', 'reason')
  elseif field == 'state' and found.noted then
    redis.call('HSET', record, 'receipt', state)
  end
  if receipt.provider_id ~= '' and not found.provider_id then
    redis.call('HSET', record, 'provider_id', receipt.provider_id)
  end
  for _, name in ipairs({ 'code', 'reason' }) do
    if receipt[name] ~= '' then
      redis.call('HSET', record, name, receipt[name])
    end
  end
  if field == 'state' and found.history then
    local entry = { at_ms = tonumber(now_ms), state = state, by = 'receipt' }
    redis.call('HSET', record, 'history', remember(found.history, entry))
  end
  redis.call('EXPIRE', record, ARGV[3])
  return field == 'state' and state or ''
end
