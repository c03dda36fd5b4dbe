-- live(settings): what a person set while running, {field = value}: the settings hash as it may be used.
-- A value that can't be (written by hand) counts as the last good one that was set through the doors, or as none.
-- Bounds and words are those of runtime/variables.py; a test holds them together.
local LIVE = {
  tps_milli = { 1, 10000000000 }, headroom_ppm = { 0, 900000 }, calm_ppm = { 0, 900000 }, floor_ppm = { 0, 500000 },
  in_flight = { 1, 1000 }, guard_us = { 0, 500000 }, push_per_minute = { 1, 1000000 }, paused = { ['1'] = true },
  paused_until = { 0, 9999999999999 },
  receipts = { ['delivered,read'] = true, delivered = true, none = true }, event_webhook = { on = true, off = true },
}
local FIELDS = {
  'tps_milli', 'headroom_ppm', 'calm_ppm', 'floor_ppm', 'in_flight', 'guard_us', 'push_per_minute', 'paused',
  'paused_until',
  'receipts', 'event_webhook',
}
local function may_be(name, text)
  local allowed = LIVE[name]
  if not allowed[1] then
    return allowed[text] and text
  end
  local value = #text <= 13 and (text == '0' or text:find('^[1-9]%d*$')) and tonumber(text)
  return value and value >= allowed[1] and value <= allowed[2] and value
end
local function last_good(settings, name)
  local read, set = pcall(cjson.decode, redis.call('HGET', settings, name .. '.set') or '')
  return read and type(set) == 'table' and type(set.value) == 'string' and may_be(name, set.value)
end
local function live(settings)
  local found, values = redis.call('HMGET', settings, unpack(FIELDS)), {}
  for i, name in ipairs(FIELDS) do
    if found[i] then
      values[name] = may_be(name, found[i]) or last_good(settings, name) or nil
    end
  end
  return values
end
