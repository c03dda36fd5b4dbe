-- get_lease(leases, id): the lease's record without its rows, or nil. Times in it are digits, because JSON in Lua keeps
-- 14 of them. In JSON: {id, holder, state: leased|sending, token, at (us), charged (events), and last of all
-- rows: [[message id, charged 1|0, step], ...]}. Who needs the rows decodes them: begin, which must be quick, doesn't.
local function get_lease(leases, id)
  local json = redis.call('HGET', leases, id)
  local rows = json and json:find(',"rows":', 1, true)
  if not rows then
    return nil
  end
  local lease = cjson.decode(json:sub(1, rows - 1) .. '}')
  lease.rows_json = json:sub(rows + 8, -2)
  return lease
end
-- put_lease(leases, lease): write it down; `rows_json` is its rows as JSON.
local function put_lease(leases, lease)
  local rows = lease.rows_json
  lease.rows_json, lease.rows = nil, nil
  redis.call('HSET', leases, lease.id, cjson.encode(lease):sub(1, -2) .. ',"rows":' .. rows .. '}')
  lease.rows_json = rows
end
-- rows_of(lease): its rows as a table, decoded once: they are the most of a script's work.
local function rows_of(lease)
  lease.rows = lease.rows or cjson.decode(lease.rows_json)
  return lease.rows
end
