-- A lease from its record: nil when there is none; nil and true when the id is void; a table with
-- `corrupt` when it cannot be read. A record is "proxy consumer acquired expires" in ms, and
-- "released" once more. A lease is over at `expires` whether or not a sweep has come by: then that is
-- when it was released. O(1).
local function read_lease(record, id, ms)
  if not record or record == 'void' then
    return nil, record == 'void'
  end
  local proxy_id, consumer, acquired, expires, released =
    string.match(record, '^(%S+) (%S+) (%d+) (%d+) ?(%d*)$')
  if not proxy_id then
    return {corrupt = true}
  end
  expires = tonumber(expires)
  if released == '' and expires <= ms then
    released = expires
  end
  return {
    id = id, proxy_id = proxy_id, consumer = consumer,
    acquired = tonumber(acquired), expires = expires, released = tonumber(released),
  }
end
