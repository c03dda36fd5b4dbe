-- facts(raw, shape_fields): what a lease must know of an envelope from its lane; an error only when it has no readable id.
-- {id, to, members (of the group it goes to, or nil), kwargs, shape, step (of its class kwarg), body (JSON text), not_before (us), expires (us), refused (why, or nil)}
local given, facts
do -- a script has 200 locals at the most: what only these need stays in here
local STEP_OF_CLASS = { urgent = '0', high = '3', normal = '6', bulk = '9' }
-- Of a group when nobody says, and at most.
local USUAL_MEMBERS, MOST_MEMBERS = 256, 1024
function given(value)
  return value ~= nil and value ~= cjson.null
end
local function refusal(headers, body)
  local embed = type(body) == 'table' and body[3] or nil
  if headers.task ~= 'worker.send' then
    return 'task: only worker.send goes on a lane'
  elseif type(body) ~= 'table' or type(body[2]) ~= 'table' or type(body[1]) ~= 'table' or #body[1] > 0 then
    return 'body: give the message as keyword arguments'
  elseif type(embed) == 'table' and (given(embed.callbacks) or given(embed.errbacks) or given(embed.chain)
    or given(embed.chord)) then
    return 'body: links, chains and chords do not work here: nothing would call them'
  end
end
local function time_of(row, name, value, without)
  if not given(value) then
    return without
  end
  local read, at = pcall(parse_time, value)
  if not read then
    row.refused = name .. ': must be a time like 2030-01-31T08:00:00Z'
    return without
  end
  return at
end
-- what(row, headers, text, shape_fields): fills the row in from the body's JSON text; an error for what can't be read.
local function what(row, headers, text, shape_fields)
  local body = cjson.decode(text)
  row.refused = refusal(headers, body)
  if row.refused then
    return
  end
  local kwargs = body[2]
  for _, field in ipairs(shape_fields) do
    local value = kwargs[field]
    if value ~= nil and value ~= cjson.null then
      row.shape = row.shape .. field .. '=' .. cjson.encode(value) .. '\n'
    end
  end
  row.body, row.kwargs = text, kwargs
  row.to = tostring(given(kwargs.to) and kwargs.to or kwargs.group_id)
  if not given(kwargs.to) then
    row.members = math.max(1, math.min(MOST_MEMBERS, tonumber(kwargs.group_members) or USUAL_MEMBERS))
  end
  row.step = STEP_OF_CLASS[kwargs.class]
  row.not_before = math.max(time_of(row, 'eta', headers.eta, 0), time_of(row, 'send_at', kwargs.send_at, 0))
  row.expires = math.min(time_of(row, 'expires', headers.expires, math.huge),
    time_of(row, 'expires_at', kwargs.expires_at, math.huge))
end
local PLAIN_HEADERS = { task = 'worker.send' }
function facts(raw, shape_fields)
  local id, text, to, said = plain(raw)
  local envelope = not id and cjson.decode(raw) or nil
  local headers = envelope and envelope.headers or PLAIN_HEADERS
  id, text = id or headers.id, text or envelope.body
  assert(type(id) == 'string' and #id <= 128 and id:match('^[%w_.:-]+$'))
  if to then
    return { id = id, to = to, shape = '', body = text, kwargs = { text = said }, not_before = 0, expires = math.huge }
  end
  local row = { id = id, to = '', shape = '', body = 'null' }
  if envelope and (envelope['content-type'] ~= 'application/json' or given(headers.compression)) then
    row.refused = 'content-type: only plain JSON is read, never pickle'
    return row
  end
  local read = pcall(function()
    if envelope and envelope.properties.body_encoding == 'base64' then
      text = base64(text)
    end
    what(row, headers, text, shape_fields)
  end)
  if not read then
    row.refused = 'body: not readable'
  end
  return row
end
end
