#!lua flags=allow-oom
-- mark: a person says something of some of a number's messages (hold them, drop them, take no more of them), or ends it.
-- Guarantee: in force for every lease, begin and push from now on; written to the list of changes with who, from where
-- and why. Running it again with the same token changes nothing. A full server lets it run, so that a person can stop it.
-- KEYS[1] marks (hash)   KEYS[2] changes (list, the newest first)
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] doorbell (channel)   ARGV[3] by whom   ARGV[4] from where
-- ARGV[5] why, or empty   ARGV[6] the verb   ARGV[7] id of the mark, or empty: only end some
-- ARGV[8] the mark (JSON, see include/marks.lua), with `token`, and `age_ms` instead of `before_ms` where it is for what is
--   older   ARGV[9..] ids of marks that end
-- reply: {1, JSON of the mark or ''; then of each mark that ended its JSON and how many rows it dropped}; {0} when there
--   are too many marks already
-- @include now_us
-- @include int
local MOST_CHANGES, MOST_FIELDS = 1000, 200
local now_ms = math.floor(now_us(ARGV[1]) / 1000)
local function note(verb, mark, rows)
  redis.call('LPUSH', KEYS[2], cjson.encode({
    at_ms = now_ms, by = ARGV[3], from = ARGV[4], field = 'mark', before = '', after = '', verb = verb, mark = mark,
    rows = rows, reason = ARGV[5] ~= '' and ARGV[5] or nil, until_ms = mark.until_ms,
  }))
  redis.call('LTRIM', KEYS[2], 0, MOST_CHANGES - 1)
end
local id, reply = ARGV[7], { 1, '' }
local before = id ~= '' and redis.call('HGET', KEYS[1], id)
local mark = id ~= '' and cjson.decode(ARGV[8])
if before and cjson.decode(before).token == mark.token then
  return { 1, before }
elseif mark and redis.call('HLEN', KEYS[1]) >= MOST_FIELDS then
  return { 0 }
end
for i = 9, #ARGV do
  local json = redis.call('HGET', KEYS[1], ARGV[i])
  if json then
    local rows = redis.call('HGET', KEYS[1], ARGV[i] .. '.rows') or '0'
    redis.call('HDEL', KEYS[1], ARGV[i], ARGV[i] .. '.rows')
    reply[#reply + 1], reply[#reply + 2] = json, rows
    if not mark then
      local ended = cjson.decode(json)
      ended.id = ARGV[i]
      note(ARGV[6], ended, tonumber(rows) > 0 and tonumber(rows) or nil)
    end
  end
end
if mark then
  mark.at_ms, mark.by, mark.from, mark.reason = now_ms, ARGV[3], ARGV[4], ARGV[5] ~= '' and ARGV[5] or nil
  if mark.age_ms or mark.what == 'drop' then
    mark.before_ms = now_ms - (mark.age_ms or 0)
  end
  reply[2] = cjson.encode(mark)
  redis.call('HSET', KEYS[1], id, reply[2])
  mark.id = id
  note(ARGV[6], mark)
end
redis.call('PUBLISH', ARGV[2], ARGV[2]:match('[^:]*$'))
return reply
