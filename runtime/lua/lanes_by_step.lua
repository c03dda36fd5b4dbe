-- lanes_by_step(): the lane of each priority step; a script that uses it has the four lanes as its first KEYS.
local function lanes_by_step()
  return { ['0'] = KEYS[1], ['3'] = KEYS[2], ['6'] = KEYS[3], ['9'] = KEYS[4] }
end
