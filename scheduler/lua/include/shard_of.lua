-- @include recipient
-- shard_of(raw, shards): the shard of an envelope's recipient, from 0; as `shard_of` in scheduler/shards.py.
-- What has no readable recipient can't be sent: the lease of the first shard says why.
local function shard_of(raw, shards)
  local read, to = pcall(recipient, raw)
  if not read then
    return 0
  end
  local digits = to:gsub('%D', '')
  return tonumber(redis.sha1hex(digits ~= '' and digits or to):sub(1, 8), 16) % shards
end
