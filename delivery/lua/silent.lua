#!lua flags=allow-oom
-- silent: which requests brought nothing back in all their time?
-- Guarantee: a request is told once. Requests with few rows are told only together, and only when nothing came back for
-- the number since the first of them.
-- KEYS[1] echo (zset, TTL)   KEYS[2] meter (hash)
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] how long an echo may take (ms)
-- ARGV[3] rows of one request that are enough   ARGV[4] rows of small requests that are enough together
-- reply: {requests, rows}
-- @include now_us
-- @include int
local now_ms = math.floor(now_us(ARGV[1]) / 1000)
local last = math.floor(tonumber(redis.call('ZSCORE', KEYS[1], 'echo') or 0) / 1000)
local until_ms = now_ms - tonumber(ARGV[2])
local due = redis.call('ZRANGE', KEYS[1], '-inf', int(until_ms * 1000 + 999), 'BYSCORE', 'WITHSCORES')
local told, few = { requests = 0, rows = 0 }, { rows = 0 }
local function tell(request, rows)
  told.requests, told.rows = told.requests + 1, told.rows + rows
  redis.call('ZREM', KEYS[1], request)
end
for i = 1, #due, 2 do
  local request, score = due[i], tonumber(due[i + 1])
  local rows = score % 1000
  if request ~= 'echo' then
    if rows >= tonumber(ARGV[3]) then
      tell(request, rows)
    elseif math.floor(score / 1000) <= last then
      redis.call('ZREM', KEYS[1], request) -- others were answered since: these phones are off
    else
      few[#few + 1], few.rows = { request, rows }, few.rows + rows
    end
  end
end
if few.rows >= tonumber(ARGV[4]) then
  for _, one in ipairs(few) do
    tell(one[1], one[2])
  end
end
if told.requests > 0 then
  redis.call('HINCRBY', KEYS[2], 'silent_pushes', told.requests)
end
return { told.requests, told.rows }
