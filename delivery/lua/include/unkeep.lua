-- unkeep(id, kept, uncertain): take an uncertain row's envelope out, for a late settle or a receipt; nil if there is none.
local function unkeep(id, kept, uncertain)
  if redis.call('ZREM', uncertain, id) == 0 then
    return nil
  end
  local held = redis.call('HGET', kept, id)
  redis.call('HDEL', kept, id)
  return held
end
