-- drop_lease(leases, deadlines, id): the lease has ended.
local function drop_lease(leases, deadlines, id)
  redis.call('HDEL', leases, id)
  redis.call('ZREM', deadlines, id)
end
