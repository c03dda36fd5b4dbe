#!lua flags=allow-oom
-- count: put events on the meter that nobody can refuse: inbound messages, delivered and read receipts, replies in
-- the app's answer to a webhook.
-- Guarantee: an event is counted once, whatever its provider repeats. An event of the past no longer fills the window,
-- and pours into the debt at its own time, or at that of the debt as it stands when that is later (GCRA: the events of
-- one second drain together, not each by itself). One older than the longest debt there is has been worked off.
-- KEYS[1] settings (hash)   KEYS[2] declared (hash, TTL)   KEYS[3] meter (hash)   KEYS[4] window (zset, TTL)
-- KEYS[5] throttle (hash, TTL)   KEYS[6..] seen (string, TTL), one for each event
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] TPS (thousandths)   ARGV[3] guard (us)
-- ARGV[4] time to live of seen (s)   ARGV[5] debt at most (s of the TPS that holds)
-- ARGV[6] but no less than so many events
-- ARGV[7] kinds that use the allocation, comma list; others are counted and not charged
-- ARGV[8..] two for each event: kind (inbound|delivered|read|send), when it happened (us, empty: now)
-- reply: how many were new
-- @include now_us
-- @include int
-- @include allocation
-- @include spent
-- @include backlog
-- @include charge
-- @include uncontrolled
local now = now_us(ARGV[1])
local a = allocation(KEYS[1], KEYS[2], ARGV[2], ARGV[3], KEYS[5], now)
local total, sends = spent(KEYS[3], KEYS[4], now, a.window_us)
local behind = backlog(KEYS[3], now, a.tps_milli)
local most = math.max(tonumber(ARGV[6]), a.tps_milli * tonumber(ARGV[5]) / 1000) * 1000000
local poured_at = tonumber(redis.call('HGET', KEYS[3], 'backlog_at') or 0)
local debt = backlog(KEYS[3], poured_at, a.tps_milli)
local kinds, came, fresh, first, charged = {}, 0, 0, nil, ',' .. ARGV[7] .. ','
for i = 6, #KEYS do
  local kind, at = ARGV[2 * i - 4], ARGV[2 * i - 3]
  if redis.call('SET', KEYS[i], '1', 'NX', 'EX', ARGV[4]) then
    kinds[kind] = (kinds[kind] or 0) + 1
    if charged:find(',' .. kind .. ',', 1, true) then
      local age = at ~= '' and math.max(0, now - tonumber(at)) or 0
      came = came + 1
      if age < a.window_us then
        fresh, first = fresh + 1, first or KEYS[i]
      end
      if age * a.tps_milli / 1000 < most then
        local pours_at = math.max(poured_at, now - age)
        debt = math.max(0, debt - (pours_at - poured_at) * a.tps_milli / 1000) + 1000000
        poured_at = pours_at
      end
    end
  end
end
local new = 0
for kind, events in pairs(kinds) do
  new = new + events
  redis.call('HINCRBY', KEYS[3], kind, events)
end
if came > 0 then
  if fresh > 0 then
    charge(KEYS[3], KEYS[4], now, behind, first, fresh, a.window_us)
  end
  -- Never under what it was: a cap that has just shrunk forgives nothing.
  most = math.max(behind, most)
  if debt - (now - poured_at) * a.tps_milli / 1000 > most then
    debt, poured_at = most, now
  end
  local u = uncontrolled(KEYS[3], now)
  redis.call('HSET', KEYS[3], 'window', total + fresh, 'window_in', total - sends + fresh, 'backlog', int(debt),
    'backlog_at', int(poured_at), 'uncontrolled_us', int(now), 'in_second', int(u.second), 'in_count', u.count + came,
    'in_mean', int(u.mean), 'in_square', int(u.square))
end
return new
