#!lua
-- claim_push: which push answers requests with this Idempotency-Key?
-- Guarantee: the first claim holds for its whole time; asked again, the answer is the same.
-- KEYS[1] idempotency (string, TTL ARGV[2])
-- ARGV[1] the claim, empty: only look   ARGV[2] time to live, in seconds
-- reply: the claim that holds, empty: none does
local found = redis.call('GET', KEYS[1])
if found or ARGV[1] == '' then
  return found or ''
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return ARGV[1]
