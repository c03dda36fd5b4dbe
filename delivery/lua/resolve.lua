#!lua flags=allow-oom
-- resolve: nothing came back of these uncertain rows in time: their class says what follows.
-- Guarantee: a row that is to be sent again goes to the head of its lane, once; one that isn't, or was tried too often or
-- for too long, is held: it stays uncertain until a receipt or a person says what became of it, and is out of its
-- recipient's way. Running it again changes nothing; nor does it touch a row whose time isn't over.
-- KEYS[1..4] lanes urgent, high, normal, bulk (list)   KEYS[5] kept (hash)   KEYS[6] uncertain (zset)
-- KEYS[7] settings (hash)   KEYS[8] heads (hash)   KEYS[9] lines (zset)   KEYS[10..] record of each row (hash, TTL)
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] unit   ARGV[3] time to live of a record (s)
-- ARGV[4] how long a receipt is waited for (ms)   ARGV[5] receipts that the container makes (or `none`)
-- ARGV[6] are they told: on or off   ARGV[7] attempts at most   ARGV[8] how long a row is tried at most (ms)
-- ARGV[9] JSON: `resend` or `hold` for each priority step   ARGV[10] doorbell (channel)   ARGV[11..] message ids, as the records
-- reply: for each row 'resent', 'held' or ''
-- @include now_us
-- @include int
-- @include lanes_by_step
-- @include patience
-- @include remember
-- @include free
local now_ms, policy = math.floor(now_us(ARGV[1]) / 1000), cjson.decode(ARGV[9])
local due = now_ms - patience(KEYS[7], ARGV[4], ARGV[5], ARGV[6])
local class_of = { ['0'] = 'urgent', ['3'] = 'high', ['6'] = 'normal', ['9'] = 'bulk' }
local reply, back = {}, {}
local way = { heads = KEYS[8], lines = KEYS[9], kept = KEYS[5], lanes = lanes_by_step() }
local function why_held(step, found)
  local since = math.max(tonumber(found[2] or now_ms), tonumber(found[3] or 0))
  return policy[step] ~= 'resend' and 'its class says so'
    or tonumber(found[1] or 0) >= tonumber(ARGV[7]) and 'attempts'
    or now_ms - since >= tonumber(ARGV[8]) and 'time' or nil
end
for i = 11, #ARGV do
  local id, record, done = ARGV[i], KEYS[i - 1], ''
  local since = tonumber(redis.call('ZSCORE', KEYS[6], id) or -1)
  local held = redis.call('HGET', KEYS[5], id)
  if since > now_ms then
    redis.call('ZADD', KEYS[6], int(now_ms), id) -- the clock was set back
  elseif held and since >= 0 and since <= due then
    local step = held:sub(1, 1)
    local found = redis.call('HMGET', record, 'attempts', 'first_ms', 'retried_ms', 'history')
    local why = why_held(step, found)
    local entry = { at_ms = now_ms, state = why and 'uncertain' or 'waiting', held = why, by = 'headway' }
    if why then
      redis.call('ZADD', KEYS[6], int(-since), id)
      free_kept(way, id, held)
    else
      redis.call('ZREM', KEYS[6], id)
      redis.call('HDEL', KEYS[5], id)
      back[#back + 1] = held
    end
    redis.call('HSET', record, 'state', entry.state, 'number', ARGV[2], 'class', class_of[step], 'changed_ms',
      int(now_ms), 'history', remember(found[4], entry))
    redis.call('EXPIRE', record, ARGV[3])
    done = why and 'held' or 'resent'
  end
  reply[#reply + 1] = done
end
for i = #back, 1, -1 do
  redis.call('RPUSH', lanes_by_step()[back[i]:sub(1, 1)], back[i]:sub(2))
end
ring(way, ARGV[10], ARGV[2])
return reply
