-- get_lease(leases, id): the lease's record, or nil. Times in it are digits, because JSON in Lua keeps 14 of them.
-- {id, holder, state: leased|sending, token, at (us), charged (events), rows: [[message id, charged 1|0], ...]}
local function get_lease(leases, id)
  local json = redis.call('HGET', leases, id)
  return json and cjson.decode(json) or nil
end
