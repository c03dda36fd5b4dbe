#!lua
-- push: put messages on a lane, each with its record, and ring the number's doorbell.
-- Guarantee: a message id is accepted once; running it again with the same ids changes nothing.
-- KEYS[1]   lane (list, no TTL)
-- KEYS[2]   marks (hash): a drain there refuses what is new
-- KEYS[3..] record of each message (hash, TTL ARGV[5]), in the order of the envelopes
-- ARGV[1]   now in microseconds, empty for the server's clock
-- ARGV[2]   number
-- ARGV[3]   class
-- ARGV[4]   doorbell channel
-- ARGV[5]   time to live of a record, in seconds
-- ARGV[6]   id of the push that brought them, or empty
-- ARGV[7..] the envelope of each message; then two for each app's own reference: which message (1 is the first), reference
-- reply: how many were new; an error that begins with DRAINED when a person has the number, or the class, take no more:
--   then nothing was accepted, but for what had been before
-- Nearly all records of a push are alike, so the first new one is copied, its TTL too: one command for each message
-- instead of three. COPY writes no key that is there already.
local now_ms
if ARGV[1] ~= '' then
  now_ms = math.floor(tonumber(ARGV[1]) / 1000)
else
  local time = redis.call('TIME')
  now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
end
now_ms = string.format('%.0f', now_ms)
local call, first, new, envelopes = redis.call, nil, {}, {}
-- drained(): why nothing new is taken, or nil.
local function drained()
  for _, json in ipairs(call('EXISTS', KEYS[2]) == 1 and call('HVALS', KEYS[2]) or {}) do
    local read, mark = pcall(cjson.decode, json)
    if read and type(mark) == 'table' and mark.what == 'drain' and (mark.class or ARGV[3]) == ARGV[3]
      and (mark.until_ms == nil or type(mark.until_ms) == 'number' and mark.until_ms > tonumber(now_ms)) then
      return 'DRAINED ' .. tostring(mark.class or 'the number') .. ' takes no more messages: '
        .. tostring(mark.reason or 'no reason was given'):gsub('%c', ' ') .. ' (' .. tostring(mark.by):gsub('%c', ' ') .. ')'
    end
  end
end
local refusal = drained()
if refusal and call('EXISTS', unpack(KEYS, 3)) < #KEYS - 2 then
  return redis.error_reply(refusal)
end
for i = 3, #KEYS do
  local record, is_new = KEYS[i], 0
  if first then
    is_new = record ~= first and call('COPY', first, record)
  elseif call('HSETNX', record, 'state', 'waiting') == 1 then
    call('HSET', record, 'number', ARGV[2], 'class', ARGV[3], 'accepted_ms', now_ms)
    if ARGV[6] ~= '' then
      call('HSET', record, 'push', ARGV[6])
    end
    call('EXPIRE', record, ARGV[5])
    first, is_new = record, 1
  end
  if is_new == 1 then
    envelopes[#envelopes + 1], new[i] = ARGV[i + 4], true
  end
end
for i = #KEYS + 5, #ARGV, 2 do
  local row = tonumber(ARGV[i]) + 2
  if new[row] then
    call('HSET', KEYS[row], 'reference', ARGV[i + 1])
  end
end
if #envelopes > 0 then
  call('LPUSH', KEYS[1], unpack(envelopes))
  call('PUBLISH', ARGV[4], ARGV[2])
end
return #envelopes
