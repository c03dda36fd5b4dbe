-- int(number): the number in digits; Lua's own way would write a time in microseconds as 1.7e+15.
local function int(number)
  return string.format('%.0f', number)
end
