#!lua flags=allow-oom
-- begin: the moment before the first byte; from here on its rows are *maybe sent*.
-- Guarantee: of all who hold this lease's message, one begins, once; its charge stands at the time of begin, so the
-- window holds for what leaves, not for what was planned. With the same token it answers the same again.
-- KEYS[1..4] lanes urgent, high, normal, bulk (list)   KEYS[5] settings (hash)   KEYS[6] declared (hash, TTL)
-- KEYS[7] meter (hash)   KEYS[8] window (zset, TTL)   KEYS[9] leases (hash)   KEYS[10] deadlines (zset)
-- KEYS[11] leased (hash)   KEYS[12] throttle (hash, TTL)   KEYS[13] cancelled (zset, TTL)   KEYS[14] marks (hash);
-- and the request logs (zset, TTL) that the lease's record names, and the records (hash, TTL) of its rows
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] lease id   ARGV[3] holder   ARGV[4] token of this try
-- ARGV[5] lease's time to live (us)   ARGV[6] TPS (thousandths)   ARGV[7] guard (us)
-- ARGV[8] a record's key without its id
-- reply: 'begun', 'lost' (somebody else has its rows by now), 'taken' (somebody else began it),
--        'stale' (its permit is over, the provider asked for a pause, a row expired, or was sent after all or taken back by a
--        person) or 'paused': its rows are back at the head of their lanes
-- @include now_us
-- @include int
-- @include lanes_by_step
-- @include get_lease
-- @include drop_lease
-- @include hand_back
-- @include refund
-- @include allocation
-- @include spent
-- @include backlog
-- @include charge
-- @include requests
-- @include base64
-- @include parse_time
-- @include plain
-- @include facts
-- @include marks
-- @include begin_marks
-- recalled(lease): whether one of its rows must not leave; the next lease, which meets it first, drops it.
local function recalled(lease)
  for _, row in ipairs(redis.call('EXISTS', KEYS[13]) == 1 and rows_of(lease) or {}) do
    if redis.call('ZSCORE', KEYS[13], row[1]) then
      return true
    end
  end
  return false
end
local now = now_us(ARGV[1])
local lease = get_lease(KEYS[9], ARGV[2])
if not lease or lease.holder ~= ARGV[3] then
  return 'lost'
elseif lease.state == 'sending' then
  return lease.token == ARGV[4] and 'begun' or 'taken'
end
local a = allocation(KEYS[5], KEYS[6], ARGV[6], ARGV[7], KEYS[12], now)
local total = spent(KEYS[7], KEYS[8], now, a.window_us)
local entry = lease.id .. ':' .. lease.charged
local still_counts = redis.call('ZSCORE', KEYS[8], entry)
local problem = a.paused and 'paused' or (a.rests_until > now or tonumber(lease.expires or now + 1) <= now or recalled(lease) or revoked(lease, now) or not begins(lease, now)) and 'stale'
if not problem and lease.charged > 0 then
  if still_counts then
    redis.call('ZADD', KEYS[8], int(now), entry)
    redis.call('PEXPIRE', KEYS[8], int(a.window_us / 1000 + 60000))
  elseif total + lease.charged <= a.events then
    -- Its charge has left the window: the container's clock has drained it too, so this is a new one.
    local behind = backlog(KEYS[7], now, a.tps_milli)
    charge(KEYS[7], KEYS[8], now, behind, lease.id, lease.charged, a.window_us)
    redis.call('HSET', KEYS[7], 'window', total + lease.charged)
  else
    problem = 'stale'
  end
end
if problem then
  refund(KEYS[7], KEYS[8], lease, lease.charged)
  hand_back(lanes_by_step(), KEYS[11], rows_of(lease))
  drop_lease(KEYS[9], KEYS[10], lease.id)
  return problem
end
lease.state, lease.token, lease.at = 'sending', ARGV[4], int(now)
put_lease(KEYS[9], lease)
redis.call('ZADD', KEYS[10], int(now + tonumber(ARGV[5])), lease.id)
return 'begun'
