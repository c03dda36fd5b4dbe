#!lua
-- remember_push: write down what a push brought, so that a delivery report finds its rows.
-- Guarantee: running it again changes nothing but the time to live, which starts anew.
-- KEYS[1] the push (hash, TTL ARGV[1])
-- ARGV[1] time to live, in seconds
-- ARGV[2] number
-- ARGV[3] id of its first row; the others follow
-- ARGV[4] how many rows
-- ARGV[5] whom they are for, in their order, with a line feed between
-- ARGV[6] kind of its first message, in the numbers of Picky's delivery report
-- reply: nothing
local time = redis.call('TIME')
local at_ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], 'number', ARGV[2], 'first', ARGV[3], 'count', ARGV[4], 'to', ARGV[5], 'type', ARGV[6],
  'at_ms', string.format('%.0f', at_ms))
redis.call('EXPIRE', KEYS[1], ARGV[1])
