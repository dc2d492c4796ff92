-- Drop a filtered view together with its registry entries. Proxies keep its name in their lists:
-- it costs a ZADD XX that does nothing, or fits the view that gets the name next. O(1) here,
-- UNLINK frees the rest in the background.
local function drop_view(pool, name)
  local entry = redis.call('HGET', pool .. ':views', name)
  if entry then
    local digest = string.match(entry, '^(%S*) ')
    redis.call('HDEL', pool, 'v:' .. string.sub(name, 1, 1) .. ':' .. digest)
    redis.call('HDEL', pool .. ':views', name)
  end
  redis.call('ZREM', pool .. ':used', name)
  redis.call('UNLINK', pool .. ':view:' .. name)
end
