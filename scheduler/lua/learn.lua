#!lua flags=allow-oom
-- learn: what receipts of our own messages say of their share and delay, for the forecast.
-- Guarantee: none needed: a receipt that is learned twice moves the forecast by a fraction of its own spread.
-- KEYS[1] settings (hash)   KEYS[2] declared (hash, TTL)   KEYS[3] meter (hash)   KEYS[4] throttle (hash, TTL)
-- KEYS[5] forecast (string, TTL)
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] TPS (thousandths)   ARGV[3] guard (us)
-- ARGV[4] receipts that single sends bring   ARGV[5] receipts that use the allocation (comma lists)
-- ARGV[6] are receipts told: on or off
-- ARGV[7..] three for each receipt: kind (1 delivered, 2 read), delay since its begin (us, empty: unknown), of a group 0|1
-- reply: how many were learned from
-- @include now_us
-- @include int
-- @include allocation
-- @include forecast
local now = now_us(ARGV[1])
local a = allocation(KEYS[1], KEYS[2], ARGV[2], ARGV[3], KEYS[4], now)
local e = expects(a, ARGV[4], ARGV[5], ARGV[6])
if not e or not e.webhook then
  return 0
end
local f, learned = get_forecast(KEYS[5]), 0
advance(f, e, now, a.tps_milli, tonumber(redis.call('HGET', KEYS[3], 'inbound') or 0))
for i = 7, #ARGV, 3 do
  local b, delay, group = 9 * tonumber(ARGV[i]) - 1, tonumber(ARGV[i + 1]), ARGV[i + 2] == '1'
  if group then
    f[6], f[b + 1] = 1, math.min(1, f[b + 1] + 1 / EVIDENCE_GROUPS)
  else
    local n = evidence(f, b)
    f[5], f[b] = 1, math.min(1, f[b] + 1 / n)
    if delay then
      -- While it waited for its turn at the container it wasn't on its way any more.
      f[b + 2] = f[b + 2] + (math.max(SHORTEST_US, delay - f[2] * 1e9 / a.tps_milli) - f[b + 2]) / n
    end
  end
  learned = learned + 1
end
put_forecast(KEYS[5], f)
return learned
