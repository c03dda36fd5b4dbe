#!lua flags=allow-oom
-- claim: may this request pass an inbound message on to the app, or does another one, or was it done?
-- Guarantee: of all who ask while a claim holds, one gets it; with its token it gets the same answer again.
-- KEYS[1] forwarded (string, TTL)
-- ARGV[1] token of the request   ARGV[2] the claim's time to live (ms), longer than the app may take
-- reply: {'mine'}, {'busy'} (another request has it) or {'done', the app's answer}
local found = redis.call('GET', KEYS[1])
if found and found:sub(1, 5) == 'done:' then
  return { 'done', found:sub(6) }
elseif found and found ~= 'claim:' .. ARGV[1] then
  return { 'busy' }
end
redis.call('SET', KEYS[1], 'claim:' .. ARGV[1], 'PX', ARGV[2])
return { 'mine' }
