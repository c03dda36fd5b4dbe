#!lua flags=allow-oom
-- group_look: how many members has a group, as far as somebody asked, and if nobody did: shall the caller?
-- Guarantee: of all who look while nobody knows, one is told to ask; the next one after ARGV[1] at the earliest.
-- KEYS[1] members (string, TTL)
-- ARGV[1] how long the claim to ask holds (ms)
-- reply: members; 0 while somebody asks, or when nobody could tell; -1: ask
local found = redis.call('GET', KEYS[1])
if found then
  return tonumber(found) or 0
end
redis.call('SET', KEYS[1], '', 'PX', ARGV[1])
return -1
