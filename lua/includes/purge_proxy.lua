--- @include "shorten_index"
-- Remove a hidden proxy: its leases end, up to `limit` in a call, then its keys go. Whether it is
-- done; a proxy that is not hidden is left alone (and counts as done). O(limit log n).
local function purge_proxy(pool, id, ms, limit)
  local key, held = pool .. ':proxy:' .. id, pool .. ':held:' .. id
  if redis.call('HEXISTS', key, 'gone') == 0 then
    redis.call('SREM', pool .. ':gone', id)
    return true
  end
  local leases = redis.call('ZCARD', held)
    - redis.call('ZLEXCOUNT', pool .. ':claims', '[p' .. id .. ':', '(p' .. id .. ';')
  for _, holder in ipairs(redis.call('ZRANGE', held, 0, limit - 1)) do
    redis.call('ZREM', pool .. ':expiry', holder .. ':' .. id)
    redis.call('ZREM', held, holder)
    if string.sub(holder, 1, 1) == '!' then
      local token = string.sub(holder, 2)
      redis.call('ZREM', pool .. ':claims', 'p' .. id .. ':' .. token, 't' .. token .. ':' .. id)
    else
      redis.call('SREM', pool .. ':extra', id .. ':' .. leases)
      leases = leases - 1
      local lease = pool .. ':lease:' .. holder
      local record = redis.call('GET', lease)
      local of, consumer, expires = string.match(record or '', '^(%S+) (%S+) %d+ (%d+)$')
      if of == id then
        -- Its record lives as long after this end as it would have after the other one.
        expires = tonumber(expires)
        local ended = math.min(expires, ms)
        local until_ms = ended + redis.call('PEXPIRETIME', lease) - expires
        local index = pool .. ':leases:' .. consumer
        if until_ms > ms then
          redis.call('SET', lease, record .. ' ' .. string.format('%.0f', ended),
            'PXAT', string.format('%.0f', until_ms))
          redis.call('ZADD', index, 'XX', until_ms, holder)
          shorten_index(pool, consumer)
        else
          redis.call('UNLINK', lease)
          redis.call('ZREM', index, holder)
        end
      end
    end
  end
  if redis.call('EXISTS', held) == 1 then
    return false
  end
  redis.call('UNLINK', key, pool .. ':doc:' .. id, pool .. ':health:' .. id)
  redis.call('SREM', pool .. ':gone', id)
  return true
end
