-- classes(text, a): the four classes in order, from `<share of headroom, ppm>:<paced 0|1>:<floor, ppm of TPS, or ->:<order
-- to one recipient 1|0>:<weight, or ->` each.
-- {step, share (ppm), paced, floor (us from one send that the floor lets go to the next; nil: the class has none), order,
-- weight (of what urgent leaves; nil: all that is left)}
local STEPS = { '0', '3', '6', '9' }
local function classes(text, a)
  local found = {}
  for class in text:gmatch('%S+') do
    local said = {}
    for value in class:gmatch('[^:]+') do
      said[#said + 1] = value
    end
    local ppm = said[3] ~= '-' and (a.live.floor_ppm or tonumber(said[3])) or 0
    found[#found + 1] = {
      step = STEPS[#found + 1], share = tonumber(said[1]), paced = said[2] == '1',
      floor = ppm > 0 and math.ceil(1e15 / (a.tps_milli * ppm)) or nil, order = said[4] == '1',
      weight = tonumber(said[5]),
    }
  end
  return found
end
