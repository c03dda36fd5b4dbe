-- shard_of(raw, shards): the shard of an envelope's recipient, from 0; as `shard_of` in scheduler/shards.py.
-- What has no readable recipient can't be sent: the lease of the first shard says why.
local function recipient(raw)
  local envelope = cjson.decode(raw)
  local text = envelope.body
  if envelope.properties.body_encoding == 'base64' then
    text = base64(text)
  end
  local kwargs = cjson.decode(text)[2]
  local to = kwargs.to
  return tostring(to ~= nil and to ~= cjson.null and to or kwargs.group_id)
end
local function shard_of(raw, shards)
  -- As headway.Client writes it, the recipient stands in front: reading its JSON costs more than all the rest.
  local plain = raw:match('^{"body":"%[%[%],{\\"to\\":\\"(%d+)\\"')
  local read, to = true, plain
  if not plain then
    read, to = pcall(recipient, raw)
  end
  if not read then
    return 0
  end
  local digits = to:gsub('%D', '')
  return tonumber(redis.sha1hex(digits ~= '' and digits or to):sub(1, 8), 16) % shards
end
