-- gate(a, now): what holds a whole number back, whatever waits: the answer of the lease, or nil when the gate is open.
-- It works on the KEYS and ARGV of lease.lua.
local function gate(a, now)
  if a.paused then
    return { 'refuse', now, 'paused' }
  elseif a.rests_until > now then
    return { 'wait', now, a.rests_until, 'throttled' }
  elseif redis.call('HLEN', KEYS[9]) >= (a.live.in_flight or tonumber(ARGV[8])) then
    return { 'wait', now, now + 50000, 'in flight' }
  end
end
