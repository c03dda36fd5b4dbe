#!lua flags=allow-oom
-- outbox_behind: for which of these contacts does the outbox hold something, so that news must go behind it?
-- Guarantee: only looks.
-- KEYS[1] due (zset)
-- ARGV[1..] contacts
-- reply: the places of those contacts, from 1
local behind = {}
if redis.call('EXISTS', KEYS[1]) == 1 then
  for i = 1, #ARGV do
    if redis.call('ZSCORE', KEYS[1], ARGV[i]) then
      behind[#behind + 1] = i
    end
  end
end
return behind
