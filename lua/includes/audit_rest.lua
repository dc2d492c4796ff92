--- @include "purge_proxy"
-- What is left of a proxy that does not exist: told, and
-- cleared away as a delete that was broken off would be, leases and all. `traces` says where the
-- pool's keys still name it. O(views * log n), and what purge_proxy takes.
local function audit_rest(pool, id, ms, traces, views, tell, repair)
  for _, name in ipairs({'gone', 'idle', 'reserved', 'retired'}) do
    if redis.call('SISMEMBER', pool .. ':' .. name, id) == 1 then
      traces[#traces + 1] = name
    end
  end
  for _, view in ipairs(views) do
    if redis.call('ZSCORE', pool .. ':view:' .. view.name, id) then
      traces[#traces + 1] = 'view ' .. view.name
    end
  end
  if #traces == 0 then
    return
  end
  if repair then
    redis.call('ZREM', pool .. ':proxies', id)
    redis.call('SREM', pool .. ':idle', id)
    redis.call('SREM', pool .. ':reserved', id)
    redis.call('SREM', pool .. ':retired', id)
    for _, view in ipairs(views) do
      redis.call('ZREM', pool .. ':view:' .. view.name, id)
    end
    redis.call('HSET', pool .. ':proxy:' .. id, 'gone', '1')
    redis.call('SADD', pool .. ':gone', id)
    purge_proxy(pool, id, ms, 100)
  end
  tell('left-of-a-proxy', id, table.concat(traces, ', '), repair)
end
