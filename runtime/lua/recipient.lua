-- @include base64
-- Whom is a message for?

-- recipient(raw): the recipient of an envelope, or the id of the group, as its publisher wrote it; an error for what
-- can't be read. As headway.Client writes it the recipient stands in front: reading JSON costs more than all the rest.
local function recipient(raw)
  local plain = raw:match('^{"body":"%[%[%],{\\"to\\":\\"(%d+)\\"')
  if plain then
    return plain
  end
  local envelope = cjson.decode(raw)
  local text = envelope.body
  if envelope.properties.body_encoding == 'base64' then
    text = base64(text)
  end
  local kwargs = cjson.decode(text)[2]
  local to = kwargs.to
  return tostring(to ~= nil and to ~= cjson.null and to or kwargs.group_id)
end

-- place_of(step, to): the field of `heads` for a recipient in a lane; one number is one recipient however it is written.
local function place_of(step, to)
  if to:find('%D') then
    local digits = to:gsub('[%s()+./-]', '')
    to = digits:find('^%d+$') and digits or to:gsub('%c', ' ')
  end
  return step .. ':' .. to
end
