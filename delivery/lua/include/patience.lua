-- patience(settings, wait_ms, receipts, webhook): how long (ms) to wait for a receipt of an uncertain row: not at all when
-- none can come, because the container makes none or nobody tells us of them. What a person set holds over what was given.
local function patience(settings, wait_ms, receipts, webhook)
  local live = redis.call('HMGET', settings, 'receipts', 'event_webhook')
  local none = (live[1] or receipts) == 'none' or (live[2] or webhook) == 'off'
  return none and 0 or tonumber(wait_ms)
end
