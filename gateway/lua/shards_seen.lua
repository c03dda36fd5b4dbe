#!lua flags=no-writes
-- shards_seen: how many shards of a number are in force?
-- Guarantee: changes nothing.
-- KEYS[1] shards (hash)
-- reply: the number of shards, or 0 while no worker has said it
return tonumber(redis.call('HGET', KEYS[1], 'now') or 0)
