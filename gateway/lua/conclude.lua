#!lua flags=allow-oom
-- conclude: the app took an inbound message, or it didn't and the claim is let go; the contact's next one has its turn.
-- Guarantee: what the app took stays taken; only the claim's own request lets it go. Safe to run twice.
-- KEYS[1] forwarded (string, TTL)   KEYS[2] turns (zset, TTL)
-- ARGV[1] token of the request   ARGV[2] the app's answer, empty: it took nothing   ARGV[3] time to live (s)
-- reply: 1 when something changed
redis.call('ZREM', KEYS[2], ARGV[1])
if ARGV[2] ~= '' then
  redis.call('SET', KEYS[1], 'done:' .. ARGV[2], 'EX', ARGV[3])
  return 1
elseif redis.call('GET', KEYS[1]) == 'claim:' .. ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
