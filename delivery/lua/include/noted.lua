-- noted(id, record, receipt, state, cancelled): what a row becomes whose settle says `state`, when the record has the
-- note `receipt` (or none): a receipt may have come before the settle.
-- That it was submitted, delivered or read proves that it was taken, whatever its worker thinks. That it failed ends one
-- that was taken, or may have been; one that is still to be sent goes on. The note is used up, and the mark with it.
local function noted(id, record, receipt, state, cancelled)
  if not receipt then
    return state
  end
  redis.call('HDEL', record, 'receipt')
  redis.call('ZREM', cancelled, id)
  if receipt == 'failed' and state ~= 'sent' and state ~= 'uncertain' then
    return state
  end
  return receipt
end
