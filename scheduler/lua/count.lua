#!lua flags=allow-oom
-- count: put events on the meter that nobody can refuse: inbound messages, delivered and read receipts.
-- Guarantee: an event is counted once, whatever its provider repeats. An event of the past counts at its own time: it
-- no longer fills the window, and the container has been working it off since.
-- KEYS[1] settings (hash)   KEYS[2] declared (hash, TTL)   KEYS[3] meter (hash)   KEYS[4] window (zset, TTL)
-- KEYS[5..] seen (string, TTL), one for each event
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] TPS (thousandths)   ARGV[3] guard (us)
-- ARGV[4] time to live of seen (s)   ARGV[5] debt at most (events)
-- ARGV[6..] two for each event: kind (inbound|delivered|read), when it happened (us, empty: now)
-- reply: how many were new
-- @include now_us
-- @include int
-- @include allocation
-- @include spent
-- @include backlog
-- @include charge
local now = now_us(ARGV[1])
local a = allocation(KEYS[1], KEYS[2], ARGV[2], ARGV[3])
local total = spent(KEYS[3], KEYS[4], now, a.window_us)
local behind = backlog(KEYS[3], now, a.tps_milli)
local kinds, fresh, late = {}, 0, 0
local first
for i = 5, #KEYS do
  local kind, at = ARGV[2 * i - 4], ARGV[2 * i - 3]
  if redis.call('SET', KEYS[i], '1', 'NX', 'EX', ARGV[4]) then
    local age = at ~= '' and math.max(0, now - tonumber(at)) or 0
    kinds[kind] = (kinds[kind] or 0) + 1
    if age < a.window_us then
      fresh, first = fresh + 1, first or KEYS[i]
    end
    late = late + math.max(0, 1000000 - age * a.tps_milli / 1000)
  end
end
local new = 0
for kind, events in pairs(kinds) do
  new = new + events
  redis.call('HINCRBY', KEYS[3], kind, events)
end
if new > 0 then
  if fresh > 0 then
    charge(KEYS[3], KEYS[4], now, behind, first, fresh, a.window_us)
  end
  -- Never under what it was: a cap that has just shrunk forgives nothing.
  local most = math.max(behind, math.min(behind + late, tonumber(ARGV[5]) * 1000000))
  redis.call('HSET', KEYS[3], 'window', total + fresh, 'backlog', int(most), 'backlog_at', int(now),
    'uncontrolled_us', int(now))
end
return new
