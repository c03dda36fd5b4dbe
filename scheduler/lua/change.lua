#!lua flags=allow-oom
-- change: a person sets or clears live values of a number; they hold in every process from the next lease on.
-- Guarantee: all of it or nothing, with who, when, from where and why; a second run changes nothing and adds nothing to
-- the history, which keeps the last 1,000 changes. A full server lets it run: a person must be able to stop a number.
-- KEYS[1] settings (hash)   KEYS[2] changes (list, the newest first)
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] by whom   ARGV[3] from where   ARGV[4] doorbell (channel)
-- ARGV[5] why, or empty   ARGV[6] until when a pause holds (ms), or empty: until somebody ends it
-- ARGV[7..] two for each setting: field, value (empty: cleared)
-- reply: how many settings were changed
-- @include now_us
-- @include int
local KEPT = 1000
local at_ms = int(math.floor(now_us(ARGV[1]) / 1000))
local changed = 0
local function set_by(field)
  local read, set = pcall(cjson.decode, redis.call('HGET', KEYS[1], field .. '.set') or '')
  return read and type(set) == 'table' and set.by
end
-- until_changed(field, after): a pause may say until when; that stands in a field of its own.
local function until_changed(field, after)
  if field ~= 'paused' then
    return false
  end
  local ends = after ~= '' and ARGV[6] or ''
  local same = (redis.call('HGET', KEYS[1], 'paused_until') or '') == ends
  if ends == '' then
    redis.call('HDEL', KEYS[1], 'paused_until')
  else
    redis.call('HSET', KEYS[1], 'paused_until', ends)
  end
  return not same
end
for i = 7, #ARGV, 2 do
  local field, after = ARGV[i], ARGV[i + 1]
  local before = redis.call('HGET', KEYS[1], field) or ''
  local ends = until_changed(field, after)
  if before ~= after or (after ~= '' and (ends or set_by(field) ~= ARGV[2])) then
    changed = changed + 1
    if after == '' then
      redis.call('HDEL', KEYS[1], field, field .. '.set')
    else
      local set = { by = ARGV[2], from = ARGV[3], at_ms = at_ms, value = after, reason = ARGV[5] ~= '' and ARGV[5] or nil }
      redis.call('HSET', KEYS[1], field, after, field .. '.set', cjson.encode(set))
    end
    redis.call('LPUSH', KEYS[2], cjson.encode({
      at_ms = at_ms, by = ARGV[2], from = ARGV[3], field = field, before = before, after = after,
      reason = ARGV[5] ~= '' and ARGV[5] or nil, until_ms = field == 'paused' and tonumber(ARGV[6]) or nil,
    }))
  end
end
if changed > 0 then
  redis.call('LTRIM', KEYS[2], 0, KEPT - 1)
  redis.call('HSET', KEYS[1], 'by', ARGV[2], 'at_ms', at_ms)
end
redis.call('PUBLISH', ARGV[4], ARGV[4]:match('[^:]*$'))
return changed
