#!lua
-- serials: give out a block of ids that follow each other.
-- Guarantee: no id is ever given twice; running it again only leaves ids out. The first ids of a new server start at
-- its clock, so that a server which lost its data doesn't begin again at 1.
-- KEYS[1] the last id given (string, no TTL)
-- ARGV[1] how many
-- reply: the last id of the block
redis.call('SET', KEYS[1], redis.call('TIME')[1] .. '000', 'NX')
return redis.call('INCRBY', KEYS[1], ARGV[1])
