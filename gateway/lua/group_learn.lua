#!lua flags=allow-oom
-- group_learn: note how many members a group has, or that nobody could tell.
-- Guarantee: safe to run twice.
-- KEYS[1] members (string, TTL)
-- ARGV[1] members, empty: nobody could tell   ARGV[2] for how long that is believed (ms)
-- reply: 1
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
