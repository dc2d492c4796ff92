-- Remove a hidden proxy: its leases end, up to `limit` in a call, then its keys go. Whether it is
-- done; a proxy that is not hidden is left alone (and counts as done). O(limit log n).
local function purge_proxy(pool, id, limit)
  local key, held = pool .. ':proxy:' .. id, pool .. ':held:' .. id
  if redis.call('HEXISTS', key, 'gone') == 0 then
    redis.call('SREM', pool .. ':gone', id)
    return true
  end
  for _, holder in ipairs(redis.call('ZRANGE', held, 0, limit - 1)) do
    redis.call('ZREM', pool .. ':expiry', holder .. ':' .. id)
    redis.call('ZREM', held, holder)
    if string.sub(holder, 1, 1) == '!' then
      local token = string.sub(holder, 2)
      redis.call('ZREM', pool .. ':claims', 'p' .. id .. ':' .. token, 't' .. token .. ':' .. id)
    else
      local lease = pool .. ':lease:' .. holder
      local record = redis.call('GET', lease)
      local consumer, expires = string.match(record or '', '^%S+ (%S+) %d+ (%d+)$')
      if consumer then
        local time = redis.call('TIME')
        local ms = math.min(tonumber(expires), time[1] * 1000 + math.floor(time[2] / 1000))
        redis.call('SET', lease, record .. ' ' .. string.format('%.0f', ms), 'KEEPTTL')
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
