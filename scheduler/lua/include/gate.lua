-- gate(a, now): what holds a whole number back, whatever waits: the answer of the lease, or nil when the gate is open.
-- It works on the KEYS and ARGV of lease.lua.
local function gate(a, now)
  -- Of requests at a time a shard has its part, as `rules_of_unit` gives it.
  local shards, in_flight = tonumber(KEYS[9]:match('of(%d+):') or 1), a.live.in_flight
  local most = in_flight and math.max(1, math.floor(in_flight / shards)) or tonumber(ARGV[8])
  if a.paused then
    return { 'refuse', now, 'paused' }
  elseif a.rests_until > now then
    return { 'wait', now, a.rests_until, 'throttled' }
  elseif redis.call('HLEN', KEYS[9]) >= most then
    return { 'wait', now, now + 50000, 'in flight' }
  end
end
