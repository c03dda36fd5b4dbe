#!lua flags=allow-oom
-- claim: may this request pass an inbound message on to the app now, or does another one, or was it done, or is it not
-- its turn? One contact's messages go one after the other: behind the requests that came before, and behind what the
-- outbox holds for the contact.
-- Guarantee: of all who ask for one message while a claim holds, one gets it, and it may ask again. Of all requests
-- of one contact the first has the turn, until it concludes or ARGV[2] has passed since it came.
-- KEYS[1] forwarded (string, TTL)   KEYS[2] turns (zset, TTL)   KEYS[3] outbox due (zset)
-- ARGV[1] token of the request   ARGV[2] the claim's time to live (ms), longer than the app may take
-- ARGV[3] contact   ARGV[4] now (us, empty: server's clock)
-- reply: {'mine', came (us)}, {'wait', came, how many are before it}, {'behind', came} (behind the outbox),
-- {'busy'} (another request has it) or {'done', the app's answer}
-- @include now_us
-- @include int
local now = now_us(ARGV[4])
local found = redis.call('GET', KEYS[1])
if found and found:sub(1, 5) == 'done:' then
  return { 'done', found:sub(6) }
elseif found and found ~= 'claim:' .. ARGV[1] then
  return { 'busy' }
end
redis.call('SET', KEYS[1], 'claim:' .. ARGV[1], 'PX', ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', int(now - ARGV[2] * 1000))
redis.call('ZADD', KEYS[2], 'NX', int(now), ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
local came = int(redis.call('ZSCORE', KEYS[2], ARGV[1]))
if redis.call('ZSCORE', KEYS[3], ARGV[3]) then
  return { 'behind', came }
end
local before = redis.call('ZRANK', KEYS[2], ARGV[1])
if before > 0 then
  return { 'wait', came, before }
end
return { 'mine', came }
