-- expects(a, receipts, counted, webhook): which receipts come, from the rules and what a person set, as
-- {single = {delivered, read}, group = {delivered, read}, webhook (are they told?)}; nil: none uses the allocation.
local function expects(a, receipts, counted, webhook)
  local function kinds(text)
    return { text:find('delivered', 1, true) ~= nil, text:find('read', 1, true) ~= nil }
  end
  local group, single = kinds(counted), kinds(a.live.receipts or receipts)
  if not group[1] and not group[2] then
    return nil
  end
  single = { single[1] and group[1], single[2] and group[2] }
  return { single = single, group = group, webhook = (a.live.event_webhook or webhook) ~= 'off' }
end
