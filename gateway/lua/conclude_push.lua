#!lua flags=allow-oom
-- conclude_push: all rows of a claimed push are accepted; repetitions are answered without looking at them again.
-- Guarantee: changes the claim that it names, no other. Safe to run twice.
-- KEYS[1] idempotency (string, TTL ARGV[3])
-- ARGV[1] the claim   ARGV[2] what it is now   ARGV[3] time to live, in seconds
-- reply: 1 when it was changed
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
