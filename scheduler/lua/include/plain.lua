-- plain(raw): id and body (JSON text), and of most recipient and text too, of an envelope that is letter for letter as
-- headway/envelope.py writes it, which has none of what a stock publisher's may have (eta, expires, compression, links,
-- base64); nil for any other.
-- To cut it out costs a fraction of decoding the whole, and nearly every envelope is one of ours. A quote inside the
-- body has a backslash before it, so the first MIDDLE ends the body; what isn't JSON after all fails in its decoding.
local HEAD = '{"body":"'
local MIDDLE = '","content-encoding":"utf-8","content-type":"application/json","headers":{"lang":"py",'
  .. '"task":"worker.send","id":"'
local AFTER_ID = '","argsrepr":"","kwargsrepr":"","retries":0},"properties":{"delivery_info":{"exchange":"",'
  .. '"routing_key":"'
-- A body that is a recipient and a text, in which nothing had to be escaped: there is nothing to decode.
local SIMPLE = '^%[%[%],{\\"to\\":\\"(%d+)\\",\\"text\\":\\"([^\\%c]+)\\"},{}%]$'
local TAIL = '^[%w.]+"},"priority":%d,"body_encoding":"utf%-8","delivery_tag":"'
local function plain(raw)
  local ends, id_starts = raw:find(MIDDLE, #HEAD, true)
  local id_ends, after = raw:find(AFTER_ID, id_starts, true)
  local _, tail = raw:find(TAIL, (after or #raw) + 1)
  if not tail or raw:sub(1, #HEAD) ~= HEAD then
    return nil
  end
  local id = raw:sub(id_starts + 1, id_ends - 1)
  if raw:sub(tail + 1) ~= id .. '"}}' then
    return nil
  end
  local to, said = raw:sub(#HEAD + 1, ends - 1):match(SIMPLE)
  if to then
    return id, '[[],{"to":"' .. to .. '","text":"' .. said .. '"},{}]', to, said
  end
  local read, body = pcall(cjson.decode, raw:sub(#HEAD, ends))
  return read and id or nil, body
end
