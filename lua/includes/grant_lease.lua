-- Write a lease on a proxy that carries `load`. The first write is the ZADD to `held`: when memory
-- is full and nothing was swept before, it fails and nothing is written. The record lives until
-- the end of its retention, the consumer's index at least as long as its longest record, and an
-- eighth of a span longer: then most leases find it long enough. With `moved` "r" the lease is a
-- selection by round_robin. A batch, whose leases differ in nothing but their ids, passes `later`
-- for all but its first, catches up at its end, and counts those in the pool's `got`; whether the
-- proxy is parked by that is returned.
-- O(log n) in each view of the proxy.
local function grant_lease(pool, proxy, load, lease, moved, later)
  local id, proxy_id, expires = lease.id, proxy.id, lease.expires
  local until_ms = expires + lease.retention
  local fresh = redis.call('ZADD', pool .. ':held:' .. proxy_id, expires, id)
  redis.call('SET', pool .. ':lease:' .. id,
    string.format('%s %s %.0f %.0f', proxy_id, lease.consumer, lease.acquired, expires),
    'PXAT', until_ms)
  local index = pool .. ':leases:' .. lease.consumer
  if later then
    --- @include "put_off"
    put_off(later, 'CH', pool .. ':expiry', expires, id .. ':' .. proxy_id)
    put_off(later, 'CH', index, until_ms, id)
  else
    redis.call('ZADD', pool .. ':expiry', expires, id .. ':' .. proxy_id)
    redis.call('ZADD', index, until_ms, id)
    if redis.call('PEXPIRETIME', index) < until_ms then
      redis.call('PEXPIREAT', index, until_ms + math.floor((until_ms - lease.acquired) / 8))
    end
    -- One call in sixteen, by the clock, takes up to sixty-four leases off the consumer's index
    -- whose retention is over: four for each that a call puts there.
    if lease.acquired % 16 == 0 then
      local past = redis.call('ZRANGEBYSCORE', index, '-inf', lease.acquired, 'LIMIT', 0, 64)
      if past[1] then
        redis.call('ZREM', index, unpack(past))
      end
    end
  end
  if not later then
    redis.call('HINCRBY', pool, 'got', 1)
  end
  if moved == 'r' then
    --- @include "select_round"
    select_round(pool, proxy)
  end
  -- An id that is used again may have a hold here that is over and not swept: that one it is now.
  local before, after = load + fresh - 1, load + fresh
  if proxy.claim or before > 0 or proxy.status ~= 'active' or not proxy.max or after < proxy.max then
    --- @include "settle"
    settle(pool, proxy, before, after, 'u' .. moved)
    return false
  end
  -- The usual case of settle, without its functions: the proxy's only lease parks it.
  for name in string.gmatch(proxy.views, '%S+') do
    local view = pool .. ':view:' .. name
    if later then
      --- @include "put_off"
      put_off(later, 'XX', view, '+inf', proxy_id)
    else
      redis.call('ZADD', view, 'XX', '+inf', proxy_id)
    end
  end
  return later ~= nil
end
