--- @include "settle"
-- Write a lease on a proxy that carries `load`. The first write is the ZADD to `held`: when memory
-- is full and nothing was swept before, it fails and nothing is written. The record lives until
-- the end of its retention, the consumer's index as long as its longest record. O(log n).
local function grant_lease(pool, proxy, load, lease, moved)
  local id, until_ms = lease.id, lease.expires + lease.retention
  local fresh = redis.call('ZADD', pool .. ':held:' .. proxy.id, lease.expires, id)
  redis.call('ZADD', pool .. ':expiry', lease.expires, id .. ':' .. proxy.id)
  redis.call('SET', pool .. ':lease:' .. id,
    string.format('%s %s %.0f %.0f', proxy.id, lease.consumer, lease.acquired, lease.expires),
    'PXAT', string.format('%.0f', until_ms))
  local index = pool .. ':leases:' .. lease.consumer
  redis.call('ZADD', index, until_ms, id)
  if redis.call('PEXPIREAT', index, until_ms, 'GT') == 0 then
    redis.call('PEXPIREAT', index, until_ms, 'NX')
  end
  -- One call in four, by the clock, takes up to sixteen leases off the consumer's index whose
  -- retention is over: four for each that a call puts there.
  if lease.acquired % 4 == 0 then
    local past = redis.call('ZRANGEBYSCORE', index, '-inf', lease.acquired, 'LIMIT', 0, 16)
    if past[1] then
      redis.call('ZREM', index, unpack(past))
    end
  end
  if moved == 'r' then
    --- @include "select_round"
    select_round(pool, proxy)
  end
  -- An id that is used again may have a hold here that is over and not swept: that one it is now.
  settle(pool, proxy, load + fresh - 1, load + fresh, 'u' .. moved)
end
