#!lua flags=allow-oom
-- lease: take the messages that may leave now from a number's lanes, and charge them, in one step.
-- A full server lets it run: what leaves is all that makes room again.
-- Guarantee: never more than the window or the debt allows; the same lease id gives the same answer again.
-- KEYS[1..4] lanes urgent, high, normal, bulk (list)   KEYS[5] settings (hash)   KEYS[6] declared (hash, TTL)
-- KEYS[7] meter (hash)   KEYS[8] window (zset, TTL)   KEYS[9] leases (hash)   KEYS[10] deadlines (zset)
-- KEYS[11] leased (hash)   KEYS[12] deferred (zset)   KEYS[13] kept (hash)
-- KEYS[14] throttle (hash, TTL)   KEYS[15] the account's requests   KEYS[16] those of them that went alone
-- KEYS[17] units that want requests (three zsets, TTL)   KEYS[18] forecast (string, TTL)
-- KEYS[19] cancelled (zset, TTL)   KEYS[20] marks (hash)   KEYS[21] held (hash), and its lists (`<held>:<mark>:<step>`)
-- KEYS[22] changes (list)   KEYS[23] dead (zset)   KEYS[24] heads (hash)   KEYS[25] lines (zset)
-- KEYS[26] due (hash, and lists `<due>:<step>`)   KEYS[27] resting (zset, TTL, and `<resting>:0|1`,
--   hashes, `<resting>:first:0|1`, strings, all TTL)
-- KEYS[28] capped (hash, TTL; `:0` at its end, and the same with `:1`)   KEYS[29] shards (hash)
-- and the records (hash, TTL) of rows that a mark or a cap looks at
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] lease id   ARGV[3] holder   ARGV[4] lease's time to live (us)
-- ARGV[5] TPS (thousandths)   ARGV[6] guard (us)   ARGV[7] headroom (ppm of TPS)   ARGV[8] leases in flight at most
-- ARGV[9] rows at most   ARGV[10] bytes at most   ARGV[11] the class table (include/classes.lua)
-- ARGV[12] requests that the provider takes in a minute (0: no quota; empty: nor may a person set one)
-- ARGV[13] receipts that single sends bring   ARGV[14] receipts that use the allocation (comma lists)
-- ARGV[15] are receipts told: on or off   ARGV[16] calm (ppm of TPS)
-- ARGV[17] fields that rows of one lease agree on (comma list)   ARGV[18] a record's key without its id
-- ARGV[19] expiry, quiet hours and caps (JSON, or empty)   ARGV[20] loop guard (both: include/holds.lua)
-- reply: {'grant', now, deadline, charged, when to ask again or 0 (when the doorbell rings), then per row: id, step, verdict, body}
--        {'wait', now, until or 0, because: window|debt|forecast|pace|quota|throttled|in flight|held|empty|again}
--        {'refuse', now, 'paused'}
-- @include now_us
-- @include int
-- @include lanes_by_step
-- @include get_lease
-- @include allocation
-- @include spent
-- @include uncontrolled
-- @include backlog
-- @include charge
-- @include base64
-- @include parse_time
-- @include plain
-- @include facts
-- @include promote
-- @include gate
-- @include marks
-- @include heed
-- @include bring_back
-- @include unmark
-- @include classes
-- @include room
-- @include order
-- @include defer
-- @include holds
-- @include take
-- @include measure
-- @include turn
-- @include serve
-- @include grant
local now, id = now_us(ARGV[1]), ARGV[2]
local fields = {}
for field in ARGV[17]:gmatch('[^,]+') do
  fields[#fields + 1] = field
end
local before = get_lease(KEYS[9], id)
if before then
  return granted_before(before, fields, now)
end
local a = allocation(KEYS[5], KEYS[6], ARGV[5], ARGV[6], KEYS[14], now)
local shut = gate(a, now)
if shut then
  return shut
end
local lanes = lanes_by_step()
local more = promote(KEYS[12], KEYS[13], KEYS[26], lanes, now)
local marks = marks_of(KEYS[20], KEYS[21], now)
unmark(marks)
local m = measured(a, now)
owe(m, now)
local t = {
  max_rows = tonumber(ARGV[9]), max_bytes = tonumber(ARGV[10]), shape_fields = fields, leased = KEYS[11],
  deferred = KEYS[12], kept = KEYS[13], rows = {}, held = {}, reply = {}, trims = {}, seen = {}, met = {},
  taken = 0, groups = 0, members = 0, bytes = 0, moved = bring_back(marks, lanes, KEYS[13]) + (more and 1 or 0), look = m.quota ~= nil,
  cancelled = marked(KEYS[19]), marks = marks, record = ARGV[18],
  heads = redis.call('EXISTS', KEYS[24]) == 1, mine = {}, gone = {},
  due = redis.call('EXISTS', KEYS[26]) == 1 and KEYS[26], holds = holds_of(ARGV[19], ARGV[20], now, a.allowed_milli), expires = math.huge,
}
local wait = serve(t, m, classes(ARGV[11], a), lanes, now)
counted(marks)
return #t.rows == 0 and nothing(t, m, wait, now) or grant(t, m, wait, now)
