#!lua flags=allow-oom
-- decide: what a person decides about rows that are dead or uncertain.
-- Guarantee: a row that is retried goes to the tail of its lane, once, its attempts and its time counted anew and its
-- history kept; one that is discarded, or is said to be sent, never leaves. None is in its recipient's way any more.
-- Running it again changes nothing.
-- KEYS[1..4] lanes urgent, high, normal, bulk (list)   KEYS[5] kept (hash)   KEYS[6] dead (zset)
-- KEYS[7] uncertain (zset)   KEYS[8] heads (hash)   KEYS[9] lines (zset)   KEYS[10..] record of each row (hash, TTL)
-- ARGV[1] now (us, empty: server's clock)   ARGV[2] unit   ARGV[3] time to live of a record (s)
-- ARGV[4] what: `retry`, `discard`, or `sent` (of uncertain ones only)   ARGV[5] who decides
-- ARGV[6] doorbell (channel)   ARGV[7] number   ARGV[8..] message ids, as the records
-- reply: the new state of each row, or '' where it was neither
-- @include now_us
-- @include int
-- @include lanes_by_step
-- @include remember
-- @include free
local STATES = { retry = 'waiting', discard = 'discarded', sent = 'sent' }
local CLASSES = { ['0'] = 'urgent', ['3'] = 'high', ['6'] = 'normal', ['9'] = 'bulk' }
local now_ms, state = math.floor(now_us(ARGV[1]) / 1000), STATES[ARGV[4]]
local reply, way = {}, { heads = KEYS[8], lines = KEYS[9], kept = KEYS[5], lanes = lanes_by_step() }
for i = 8, #ARGV do
  local id, record = ARGV[i], KEYS[i + 2]
  local held = redis.call('HGET', KEYS[5], id)
  local mine = held and (ARGV[4] ~= 'sent' and redis.call('ZREM', KEYS[6], id) == 1 or redis.call('ZREM', KEYS[7], id) == 1)
  if mine then
    redis.call('HDEL', KEYS[5], id)
    free_kept(way, id, held)
    if state == 'waiting' then
      redis.call('LPUSH', way.lanes[held:sub(1, 1)], held:sub(2))
      redis.call('HSET', record, 'attempts', 0, 'retried_ms', int(now_ms))
      redis.call('HDEL', record, 'code', 'reason', 'until_ms', 'receipt')
      way.freed = true
    end
    local entry = { at_ms = now_ms, state = state, by = ARGV[5] }
    redis.call('HSET', record, 'state', state, 'number', ARGV[2], 'class', CLASSES[held:sub(1, 1)], 'changed_ms',
      int(now_ms), 'history', remember(redis.call('HGET', record, 'history'), entry))
    redis.call('EXPIRE', record, ARGV[3])
  end
  reply[#reply + 1] = mine and state or ''
end
ring(way, ARGV[6], ARGV[7])
return reply
