-- quiet_until(quiet, row, now): when the quiet hours end that it is in where the recipient lives (us); 0: there are none
-- now. quiet: {spans (ms: from, until, from, until, ...), `<first digits>:<index of its spans>` for each prefix, the
-- longest counts}, made by quiet.py. A group is where its sending number is, `here`.
local PREFIX = 4
local function quiet_until(quiet, row, now, here)
  if not quiet.of then
    quiet.of = {}
    for prefix, index in quiet[2]:gmatch('(%d*):(%d+)') do
      quiet.of[prefix] = tonumber(index)
    end
  end
  local digits, index = row.members and here or row.to, nil
  for length = PREFIX, 0, -1 do
    index = index or quiet.of[digits:sub(1, length)]
  end
  local spans = quiet[1][index]
  for i = 1, #spans, 2 do
    if spans[i] * 1000 <= now and now < spans[i + 1] * 1000 then
      return spans[i + 1] * 1000
    end
  end
  return 0
end
