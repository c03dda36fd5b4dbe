#!lua flags=allow-oom
-- slow: the provider said "not so fast": the number's TPS is cut at once, and the number rests.
-- Guarantee: one cut a window, however many requests were refused in it, and never above what is allowed; so it is safe
-- to run twice. The first cut after a calm time leaves nine tenths, each that follows nine tenths of what was accepted in
-- the trailing window, but no less than two fifths of what was tried (a batch is refused whole, which says little of how
-- much would have been taken), nor than LEAST. The number rests for the time of one event, so that what isn't paced doesn't come again at once, or until the provider's
-- own time. A refused request still counts in its account's quota: nobody knows whether the provider counted it.
-- KEYS[1] settings (hash)   KEYS[2] declared (hash, TTL)   KEYS[3] throttle (hash, TTL)   KEYS[4] meter (hash)
-- KEYS[5] window (zset, TTL)   KEYS[6] the account's requests (zset, TTL)
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] TPS (thousandths)   ARGV[3] guard (us)   ARGV[4] lease id
-- ARGV[5] its rows, refused and still charged   ARGV[6] the provider's own pause (us, 0: none)
-- reply: {1 if it was cut, the TPS that holds (thousandths), now, until when the number rests}
-- @include now_us
-- @include int
-- @include allocation
-- @include spent
-- @include requests
local LEAST_MILLI, OF_ACCEPTED, OF_TRIED, TTL_MS = 100, 0.9, 0.4, 1800000
local now = now_us(ARGV[1])
local a = allocation(KEYS[1], KEYS[2], ARGV[2], ARGV[3], KEYS[3], now)
local _, sends = spent(KEYS[4], KEYS[5], now, a.window_us)
local tps = a.tps_milli
local since = now - tonumber(redis.call('HGET', KEYS[3], 'at') or 0)
local cut = since < 0 or since >= a.window_us
if cut then
  local accepted = math.max(0, sends - tonumber(ARGV[5])) * 1e9 / math.max(1e6, 1e9 / tps)
  local calm = since < 0 or since > CALM_S * 1000000
  tps = calm and OF_ACCEPTED * tps or math.min(OF_ACCEPTED * tps, math.max(OF_ACCEPTED * accepted, OF_TRIED * tps))
  tps = math.min(a.tps_milli, math.max(LEAST_MILLI, math.floor(tps)))
  redis.call('HSET', KEYS[3], 'tps_milli', int(tps), 'at', int(now))
  if calm then
    redis.call('HSET', KEYS[3], 'was', int(a.tps_milli))
  end
end
local rests = math.max(a.rests_until, now + math.ceil(1e9 / tps), now + tonumber(ARGV[6]))
redis.call('HSET', KEYS[3], 'until', int(rests))
redis.call('PEXPIRE', KEYS[3], TTL_MS)
if redis.call('ZSCORE', KEYS[6], ARGV[4]) then
  note(KEYS[6], ARGV[4] .. ':refused', now)
end
return { cut and 1 or 0, tps, now, rests }
