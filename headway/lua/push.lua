#!lua
-- push: put messages on a lane, each with its record, and ring the number's doorbell.
-- Guarantee: a message id is accepted once; running it again with the same ids changes nothing.
-- KEYS[1]   lane (list, no TTL)
-- KEYS[2..] record of each message (hash, TTL ARGV[5]), in the order of the envelopes
-- ARGV[1]   now in microseconds, empty for the server's clock
-- ARGV[2]   number
-- ARGV[3]   class
-- ARGV[4]   doorbell channel
-- ARGV[5]   time to live of a record, in seconds
-- ARGV[6]   id of the push that brought them, or empty
-- ARGV[7..] two for each message: its envelope, the app's own reference or empty
-- reply: how many were new
local now_ms
if ARGV[1] ~= '' then
  now_ms = math.floor(tonumber(ARGV[1]) / 1000)
else
  local time = redis.call('TIME')
  now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
end
now_ms = string.format('%.0f', now_ms)
local accepted = 0
for i = 2, #KEYS do
  local envelope, reference = ARGV[2 * i + 3], ARGV[2 * i + 4]
  if redis.call('HSETNX', KEYS[i], 'state', 'waiting') == 1 then
    redis.call('HSET', KEYS[i], 'number', ARGV[2], 'class', ARGV[3], 'accepted_ms', now_ms)
    if ARGV[6] ~= '' then
      redis.call('HSET', KEYS[i], 'push', ARGV[6])
    end
    if reference ~= '' then
      redis.call('HSET', KEYS[i], 'reference', reference)
    end
    redis.call('EXPIRE', KEYS[i], ARGV[5])
    redis.call('LPUSH', KEYS[1], envelope)
    accepted = accepted + 1
  end
end
if accepted > 0 then
  redis.call('PUBLISH', ARGV[4], ARGV[2])
end
return accepted
