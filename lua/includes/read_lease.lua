-- A lease's record: "proxy consumer acquired expires [released]", times in ms; nil when there is
-- none (never was, or its retention is over), and true behind it for "void": an id that must not be
-- granted any more. A lease is over at `expires` whether or not a sweep has come by: then that is
-- when it was released. O(1).
local function read_lease(pool, id, ms)
  local record = redis.call('GET', pool .. ':lease:' .. id)
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
