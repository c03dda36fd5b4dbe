-- parse_time(text): RFC 3339 text to microseconds; a text without a zone is UTC, as Celery means it; else an error.
local function parse_time(text)
  local year, month, day, hour, minute, rest = text:match('^(%d%d%d%d)-(%d%d)-(%d%d)[T ](%d%d):(%d%d)(.*)$')
  local second, fraction, zone = rest:match('^:(%d%d)(%.?%d*)(.*)$')
  if not second then
    second, fraction, zone = '00', '', rest
  end
  assert(month >= '01' and month <= '12' and day >= '01' and day <= '31' and hour <= '23' and minute <= '59'
    and second <= '60')
  local offset = 0
  if zone ~= '' and zone ~= 'Z' and zone ~= 'z' then
    local sign, hours, minutes = zone:match('^([+-])(%d%d):?(%d%d)$')
    offset = (hours * 60 + minutes) * (sign == '-' and -60 or 60)
  end
  -- days since 1970 of a date, by counting years from March, so that a leap day is a year's last
  local y = month <= '02' and year - 1 or year - 0
  local m = (month + 9) % 12
  local days = 365 * y + math.floor(y / 4) - math.floor(y / 100) + math.floor(y / 400)
    + math.floor((m * 306 + 5) / 10) + day - 1 - 719468
  local micros = fraction ~= '' and tonumber('0' .. fraction) * 1000000 or 0
  return (days * 86400 + hour * 3600 + minute * 60 + second - offset) * 1000000 + math.floor(micros + 0.5)
end
