-- base64(text): decoded; kombu writes the bodies of stock publishers so. Its table is made when it is needed first: the
-- rows of our own client need none, and each lease would make one.
local ALPHABET, BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/', {}
local function base64(text)
  for i = BASE64[65] and 65 or 1, 64 do
    BASE64[ALPHABET:byte(i)] = i - 1
  end
  local out = {}
  local padding = #text:match('=*$')
  text = text:gsub('=', 'A')
  for i = 1, #text, 4 do
    local a, b, c, d = text:byte(i, i + 3)
    local n = BASE64[a] * 262144 + BASE64[b] * 4096 + BASE64[c] * 64 + BASE64[d]
    out[#out + 1] = string.char(math.floor(n / 65536), math.floor(n / 256) % 256, n % 256)
  end
  return table.concat(out):sub(1, -1 - padding)
end
